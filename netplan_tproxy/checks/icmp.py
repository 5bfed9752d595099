"""One ICMP echo request and its answer (RFC 792, RFC 4443)."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import time

_HEADER = struct.Struct("!BBHHH")
_REQUEST = {int(socket.AF_INET): (8, 0), int(socket.AF_INET6): (128, 129)}


def answers(host: str, timeout: float) -> bool:
    """Whether ``host`` answers an echo request within ``timeout`` seconds."""
    try:
        family, _, _, _, where = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)[0]
        with _opened(family) as pinger:
            pinger.connect(where)
            return _exchange(pinger, family, time.monotonic() + timeout)
    except OSError:
        return False


def _opened(family: int) -> socket.socket:
    protocol = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
    # The first needs a group within ping_group_range (icmp(7)), the second CAP_NET_RAW.
    with contextlib.suppress(PermissionError):
        return socket.socket(family, socket.SOCK_DGRAM, protocol)
    return socket.socket(family, socket.SOCK_RAW, protocol)


def _exchange(pinger: socket.socket, family: int, deadline: float) -> bool:
    kind, reply = _REQUEST[family]
    token = os.urandom(16)
    header = _HEADER.pack(kind, 0, 0, os.getpid() & 0xFFFF, 1)
    # The kernel computes the checksum of ICMPv6, and of ICMP on a datagram socket.
    checked = _HEADER.pack(kind, 0, _checksum(header + token), os.getpid() & 0xFFFF, 1)
    pinger.send(checked + token)
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([pinger], [], [], left)[0]:
            break
        data = pinger.recv(2048)
        if family == socket.AF_INET and pinger.type == socket.SOCK_RAW:
            data = data[(data[0] & 15) * 4 :]  # a raw IPv4 socket shows the IP header too
        if data[:1] == bytes([reply]) and data[_HEADER.size :] == token:
            return True
    return False


def _checksum(data: bytes) -> int:
    """Add up 16-bit words in ones' complement (RFC 1071); ``data`` is of even length."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)
