"""Whether somebody's socket shares its port (SO_REUSEPORT), which sock_diag(7) does not tell.

The socket itself is asked, by a descriptor of it that pidfd_getfd(2) gives (Linux 5.6).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

_PIDFD_GETFD = 438  # the same on every architecture


def shares_port(inode: int, pids: Iterable[int]) -> bool | None:
    """Ask a socket that one of the processes holds; None: none of them lets us."""
    for pid in pids:
        with contextlib.suppress(OSError):
            for number in _descriptors(pid, inode):
                with _borrowed(pid, number) as one:
                    return bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT))
    return None


def _descriptors(pid: int, inode: int) -> Iterator[int]:
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(entry.readlink()) == f"socket:[{inode}]":
                yield int(entry.name)


@contextlib.contextmanager
def _borrowed(pid: int, number: int) -> Iterator[socket.socket]:
    """Give a process's socket; closing it takes nothing from that process."""
    process = os.pidfd_open(pid)
    try:
        own = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, process, number, 0)
        if own < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(process)
    with socket.socket(fileno=own) as one:
        yield one
