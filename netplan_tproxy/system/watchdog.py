"""Going back unless confirmed in time: a process of its own that needs nobody.

It is forked from the run that made the changes, so it holds the very objects (programs,
maps) that undo puts back. It leaves the terminal, the session and the process group, so
neither a lost SSH connection nor a closed terminal takes it along; it needs no systemd.
Should it be killed too, the journal still says what was made: the next run sees that the
time is up and goes back first.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_INTERVAL = 0.1
_STANDARD = (0, 1, 2)


@dataclass(frozen=True)
class Process:
    """A process that can be told from a later one with the same number."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether it still runs (proc(5): field 22 of stat is its start, in clock ticks)."""
        return started(self.pid) == self.started


def started(pid: int) -> int:
    """Give the start time of a process; 0 when there is none, or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    fields = stat.rpartition(")")[2].split()
    return 0 if fields[0] in "ZX" else int(fields[19])


def now() -> float:
    """Give seconds since boot; the time in suspend counts (CLOCK_BOOTTIME)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def spawn(
    waiting: Callable[[], float | None],
    go_back: Callable[[], None],
    after_fork: Callable[[], None],
) -> Process:
    """Start a process that calls ``go_back`` when the time is up.

    ``waiting`` gives the deadline, seconds since boot, or None when the change was
    confirmed or taken back by somebody else: then the process ends without a word.
    ``after_fork`` lets go, in the new process, of what is the parent's alone.
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
            os.write(writer, str(os.getpid()).encode())
            os.close(writer)
            _detach()
            after_fork()
            with contextlib.suppress(Exception):
                _watch(waiting, go_back)
        finally:
            # Nothing of the parent's may run here: no handler, no buffer, no test.
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as answer:
        pid = int(answer.read())
    return Process(pid, started(pid))


def _detach() -> None:
    os.chdir("/")
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in _STANDARD:
        os.dup2(nowhere, standard)


def _watch(waiting: Callable[[], float | None], go_back: Callable[[], None]) -> None:
    while (deadline := waiting()) is not None:
        left = deadline - now()
        if left <= 0:
            go_back()
            return
        time.sleep(min(left, _INTERVAL))
