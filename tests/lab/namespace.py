"""One named network namespace, and ways to act inside it."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.lab import syscalls
from tests.lab.isolate import NETNS_DIR
from tests.lab.patience import PATIENCE
from tests.lab.processes import inhabitants, stop

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CURRENT = "/proc/thread-self/ns/net"


class Namespace:
    """A network namespace of ours; ``/run/netns/<name>`` as ``ip netns`` has it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = NETNS_DIR / name
        NETNS_DIR.mkdir(parents=True, exist_ok=True)
        self.path.touch(exist_ok=False)
        back = os.open(CURRENT, os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.unshare(syscalls.CLONE_NEWNET)
            try:
                syscalls.mount(CURRENT, str(self.path), flags=syscalls.MS_BIND)
                self._fd = os.open(CURRENT, os.O_RDONLY | os.O_CLOEXEC)
            finally:
                syscalls.setns(back)
        finally:
            os.close(back)
        self.inode = os.fstat(self._fd).st_ino
        self._children: list[subprocess.Popen[str]] = []

    def fileno(self) -> int:
        return self._fd

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Run this thread inside the namespace; processes it starts begin there too.

        Not for coroutines: an ``await`` inside would take the other tasks along.
        """
        back = os.open(CURRENT, os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(self._fd)
            try:
                yield
            finally:
                syscalls.setns(back)
        finally:
            os.close(back)

    def popen(self, argv: Sequence[str | Path], **options: Any) -> subprocess.Popen[str]:
        """Start a program inside; it is stopped with the namespace at the latest."""
        words = [str(word) for word in argv]
        if threading.current_thread() is threading.main_thread():
            # The signal follows the parent's *thread*: only the main one lives long enough.
            words = ["setpriv", "--pdeathsig", "KILL", "--", *words]
        with self.entered():
            child: subprocess.Popen[str] = subprocess.Popen(words, text=True, **options)
        self._children.append(child)
        return child

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        check: bool = True,
        timeout: float = 120,
        stdin: str | None = None,
        **options: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside to its end; output is captured as text."""
        pipe = subprocess.PIPE
        child = self.popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, **options)
        try:
            out, err = child.communicate(stdin, timeout=timeout)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait(PATIENCE)
            self._children.remove(child)
        if check and child.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, argv))}: exit {child.returncode}\n{out}{err}")
        return subprocess.CompletedProcess(list(map(str, argv)), child.returncode, out, err)

    def socket(
        self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, proto: int = 0
    ) -> socket.socket:
        """Make a socket that lives inside, to be used from anywhere; times out after 10 s."""
        with self.entered():
            made = socket.socket(family, kind, proto)
        made.settimeout(PATIENCE)
        return made

    def sysctl(self, name: str, value: str | int | None = None) -> str:
        """Read a ``net.…`` sysctl, after writing it if a value is given."""
        path = Path("/proc/sys") / name.replace(".", "/")
        with self.entered():
            if value is not None:
                path.write_text(str(value))
            return path.read_text().strip()

    def netstat(self, name: str) -> int:
        """Read a counter of TCP as nstat(8) names it, ``TCPSynRetrans``."""
        with self.entered():
            lines = Path("/proc/thread-self/net/netstat").read_text().splitlines()
        names, values = (line.split() for line in lines if line.startswith("TcpExt:"))
        return int(values[names.index(name)])

    def close(self) -> None:
        """Stop all that lives inside and remove the namespace; twice is once."""
        if self._fd < 0:
            return
        for child in self._children:
            stop(child)
        for pid in inhabitants(self.inode):
            stop(pid)
        os.close(self._fd)
        self._fd = -1
        remove_name(self.path)


def remove_name(path: Path) -> None:
    """Take away a name below /run/netns; the namespace goes with its last user."""
    try:
        syscalls.umount(str(path))
    except OSError:
        # A name whose owner died between making the file and mounting on it.
        if path.stat().st_size:
            raise
    path.unlink()
