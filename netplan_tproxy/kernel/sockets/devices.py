"""Addresses of a device of this thread's network namespace (netdevice(7))."""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

_SIOCGIFADDR, _SIOCGIFNETMASK, _SIOCGIFHWADDR = 0x8915, 0x891B, 0x8927
_REQUEST = struct.Struct("16s24x")  # struct ifreq
_INET6 = Path("/proc/thread-self/net/if_inet6")

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def station_of(device: str) -> bytes:
    """Read its Ethernet address. Raises OSError."""
    return _asked(device, _SIOCGIFHWADDR)[18:24]


def networks_of(device: str) -> Iterator[Interface]:
    """Give its addresses with their networks: the first of IPv4, and all of IPv6."""
    with contextlib.suppress(OSError):
        address, mask = (
            socket.inet_ntoa(_asked(device, what)[20:24])
            for what in (_SIOCGIFADDR, _SIOCGIFNETMASK)
        )
        yield ipaddress.IPv4Interface(f"{address}/{mask}")
    with contextlib.suppress(OSError):
        for line in _INET6.read_text(encoding="ascii").splitlines():
            digits, _, length, *_, name = line.split()
            if name == device:
                packed = bytes.fromhex(digits)
                yield ipaddress.IPv6Interface((packed, int(length, 16)))


def _asked(device: str, what: int) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        return fcntl.ioctl(asking, what, _REQUEST.pack(device.encode()))
