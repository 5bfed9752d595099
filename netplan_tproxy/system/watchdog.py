"""The process that undoes a change unless it is confirmed in time.

It is forked from the run that made the changes, so it holds the same objects (programs,
maps) that undo puts back. It leaves the terminal, the session and the process group: it
survives a lost SSH connection and a closed terminal, without systemd. If it is killed, the
journal still lists the changes, and the next run undoes them first.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Callable

from netplan_tproxy.errors import LockedError
from netplan_tproxy.system.process import Process, since_boot, started

_INTERVAL = 0.1
_STANDARD = (0, 1, 2)


def spawn(
    begin: Callable[[Process], None],
    waiting: Callable[[], float | None],
    go_back: Callable[[], None],
    let_go: Callable[[], None],
) -> Process:
    """Start a process that calls ``go_back`` when the time is up.

    It calls ``begin`` with itself first; OSError is raised here if that fails. ``waiting``
    returns the deadline in seconds since boot, or None once the change is confirmed or taken
    back: then the process calls ``let_go`` and ends.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            grandchild = os.fork()
            if grandchild:
                os._exit(0)
            os.close(reader)
            _detach()
            begin(Process(os.getpid(), started(os.getpid())))
            os.write(writer, str(os.getpid()).encode())
            os.close(writer)
            with contextlib.suppress(Exception):
                _watch(waiting, go_back)
                let_go()
        finally:
            # The parent's exit handlers and buffers must not run here.
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as answer:
        words = answer.read()
    if not words:
        raise OSError(errno.EIO, "the watchdog did not start")
    return Process(int(words), started(int(words)))


def _detach() -> None:
    os.chdir("/")
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in _STANDARD:
        os.dup2(nowhere, standard)


def _watch(waiting: Callable[[], float | None], go_back: Callable[[], None]) -> None:
    while (deadline := waiting()) is not None:
        left = deadline - since_boot()
        if left <= 0:
            # Another run holds the lock: try again.
            with contextlib.suppress(LockedError):
                go_back()
                return
        time.sleep(min(left, _INTERVAL) if left > 0 else _INTERVAL)
