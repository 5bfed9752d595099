"""Give this process a network, a cgroup, a /run and a bpffs of its own, out of the host's reach."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab import cgroups, syscalls
from tests.lab.patience import LONG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

NETNS_DIR = Path("/run/netns")
BPFFS = Path("/sys/fs/bpf")
SETTINGS = Path("/etc/netplan-tproxy")
_MARK = Path("/run/.netplan-tproxy-lab")


def is_private() -> bool:
    return _MARK.exists()


def enter_private(*, anew: bool = False) -> None:
    """Leave the host's network, cgroup and mounts for good; ``anew`` leaves private ones too.

    What else is mounted below /run and /sys/fs/bpf is hidden. Threads that exist already keep
    the old namespaces: call it early.
    """
    if is_private() and not anew:
        return
    syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET)
    _leave_propagation()
    syscalls.mount("lab-run", "/run", "tmpfs", data="mode=755")
    NETNS_DIR.mkdir()
    Path("/run/lock").mkdir()
    syscalls.mount("lab-bpf", str(BPFFS), "bpf")
    # Of this host, tproxy-apply's is among what is kept there.
    syscalls.mount("lab-cache", "/var/cache", "tmpfs", data="mode=755")
    if SETTINGS.is_dir():  # of a tproxy-apply that is installed here
        syscalls.mount("lab-etc", str(SETTINGS), "tmpfs")
    cgroups.enter_own()
    _MARK.touch()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=LONG)


def _leave_propagation() -> None:
    """Let no mount made from now on be seen outside, nor one made there be seen here."""
    private = syscalls.MS_REC | syscalls.MS_PRIVATE
    try:
        syscalls.mount("none", "/", flags=private)
    except OSError as refusal:
        if refusal.errno != errno.EINVAL:
            raise
        # The root of a chroot need not be a mount. Entering its own namespace takes a process to
        # the root that the whole namespace has; from there it comes back.
        with (
            Path("/proc/thread-self/ns/mnt").open("rb") as here,
            _opened(Path("/")) as chroot,
            _opened(Path.cwd()) as folder,
        ):
            syscalls.setns(here.fileno(), syscalls.CLONE_NEWNS)
            syscalls.mount("none", "/", flags=private)
            os.fchdir(chroot)
            os.chroot(".")
            os.fchdir(folder)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def start_over() -> None:
    """Go on in a child whose end, even by SIGKILL, ends every process it has started.

    The child is the first process of a pid namespace; this process waits for it and exits as it
    does. SIGTERM is handed on; Ctrl-C reaches both by itself.
    """
    syscalls.unshare(syscalls.CLONE_NEWPID)
    child = os.fork()
    if child == 0:
        syscalls.die_with_parent()
        enter_private(anew=True)
        syscalls.mount("proc", "/proc", "proc")
        exit_on_sigterm()
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: os.kill(child, number))
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    sys.exit(code if code >= 0 else 128 - code)


def mind_signals() -> None:
    """Let a session that was started with nohup(1), or behind a shell's ``&``, take signals.

    Those are ignored then, in what the tests run too.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def exit_on_sigterm() -> None:
    """Turn SIGTERM into an exit that unwinds the stack, so that context managers clean up."""

    def leave(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def is_root() -> bool:
    return os.geteuid() == 0
