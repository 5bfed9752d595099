"""The number of a network namespace."""

from __future__ import annotations

import errno
import socket
import struct
from pathlib import Path

from netplan_tproxy.errors import KernelError

_SO_NETNS_COOKIE = 71


def netns_cookie() -> int:
    """Give a number that no other network namespace of this boot ever has (socket(7)).

    Kernels before 5.14 have no such cookie: there it is the inode, which can come back.
    Raises KernelError.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            raw = probe.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
        except OSError as refusal:
            if refusal.errno != errno.ENOPROTOOPT:
                message = f"ask for the network namespace: {refusal.strerror}"
                raise KernelError(message, refusal.errno or 0) from refusal
            return Path("/proc/thread-self/ns/net").stat().st_ino
    return int(struct.unpack("=Q", raw)[0])
