"""What a device does for the stack: checksums and segments (ethtool(8))."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct

from tests.lab import Namespace

SIOCETHTOOL = 0x8946
# <linux/ethtool.h>: checksums, scatter-gather, TSO, GSO and GRO, each one command.
STXCSUM, SSG, STSO, SGSO, SGRO = 0x17, 0x19, 0x1F, 0x24, 0x2C
ALL = (STXCSUM, SSG, STSO, SGSO, SGRO)


def set_offloads(
    namespace: Namespace, device: str, *, on: bool, commands: tuple[int, ...] = ALL
) -> None:
    """Switch a device's offloads; each depends on those before it."""
    with namespace.socket(kind=socket.SOCK_DGRAM) as control:
        for command in commands if on else reversed(commands):
            value = ctypes.create_string_buffer(struct.pack("=II", command, int(on)))
            request = struct.pack("16sP", device.encode(), ctypes.addressof(value))
            fcntl.ioctl(control, SIOCETHTOOL, request.ljust(40, b"\0"))


def get_offload(namespace: Namespace, device: str, command: int) -> bool:
    """Ask for one; the command to get is one less than that to set."""
    with namespace.socket(kind=socket.SOCK_DGRAM) as control:
        value = ctypes.create_string_buffer(struct.pack("=II", command - 1, 0))
        request = struct.pack("16sP", device.encode(), ctypes.addressof(value))
        fcntl.ioctl(control, SIOCETHTOOL, request.ljust(40, b"\0"))
        return bool(struct.unpack("=II", value.raw[:8])[1])
