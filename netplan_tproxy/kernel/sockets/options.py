"""Socket options that the library has no names for."""

from __future__ import annotations

import ctypes
import socket
import struct

_SO_ATTACH_FILTER, _SO_MEMINFO = 26, 55
_DROPS = struct.Struct("=32xI")  # SK_MEMINFO_DROPS is the ninth of the numbers
_TRANSPARENT = {
    socket.AF_INET: (socket.IPPROTO_IP, 19),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 75),
}


def _program(*instructions: tuple[int, int, int, int]) -> bytes:
    """Pack struct sock_filter: code, jump if true, jump if false, constant."""
    return b"".join(struct.pack("=HBBI", *each) for each in instructions)


NOTHING = _program((0x06, 0, 0, 0))
"""A filter that drops every packet."""
RESETS_ALONE = _program((0x30, 0, 0, 13), (0x45, 0, 1, 0x04), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0))
"""A filter for TCP, which sees packets from the TCP header on: those without RST are dropped."""


def attach_filter(end: socket.socket, instructions: bytes) -> None:
    """Attach a socket filter (socket(7)). Raises OSError."""
    code = ctypes.create_string_buffer(instructions, len(instructions))
    program = struct.pack("HP", len(instructions) // 8, ctypes.addressof(code))
    end.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def drops(end: socket.socket) -> int:
    """Count the packets that were for a socket and that it did not take. Raises OSError."""
    told = end.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _DROPS.size)
    return int(_DROPS.unpack(told)[0])


def make_transparent(end: socket.socket) -> None:
    """Let it have any address. Raises OSError (EPERM: it takes CAP_NET_ADMIN)."""
    end.setsockopt(*_TRANSPARENT[socket.AddressFamily(end.family)], 1)
