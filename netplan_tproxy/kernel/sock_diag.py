"""TCP sockets of this network namespace, asked of the kernel (sock_diag(7))."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_MEMINFO = 1
_REQUEST = struct.Struct("=BBBxI48x")
_HEADER = struct.Struct("=IHHII")
_ROOM = 1 << 16
LISTEN = 10


@dataclass(frozen=True)
class TcpSocket:
    """A socket; ``state`` as in include/net/tcp_states.h, ``waiting`` bytes for its reader."""

    family: int
    state: int
    source: str
    sport: int
    destination: str
    dport: int
    cookie: int
    uid: int
    inode: int
    waiting: int


def tcp_sockets(states: int = 0xFFF) -> Iterator[TcpSocket]:
    """Give all in the ``states`` (a bit mask), of both families. Raises OSError."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as netlink:
            body = _REQUEST.pack(family, socket.IPPROTO_TCP, 1 << (_MEMINFO - 1), states)
            flags = _NLM_F_REQUEST | _NLM_F_DUMP
            head = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, flags, 1, 0)
            netlink.send(head + body)
            yield from _answers(netlink)


def _answers(netlink: socket.socket) -> Iterator[TcpSocket]:
    while True:
        data = netlink.recv(_ROOM)
        at = 0
        while at < len(data):
            length, kind, _, _, _ = _HEADER.unpack_from(data, at)
            if kind in {_NLMSG_ERROR, _NLMSG_DONE}:
                return
            yield _parsed(data[at + _HEADER.size : at + length])
            at += (length + 3) & ~3


def _parsed(message: bytes) -> TcpSocket:
    # struct inet_diag_msg: family, state, timer, retrans, the addresses, then four numbers.
    family, state = message[0], message[1]
    sport, dport = struct.unpack_from("!HH", message, 4)
    size = 4 if family == socket.AF_INET else 16
    low, high = struct.unpack_from("=II", message, 44)
    _, _, _, uid, inode = struct.unpack_from("=IIIII", message, 52)
    return TcpSocket(
        family,
        state,
        socket.inet_ntop(family, message[8 : 8 + size]),
        sport,
        socket.inet_ntop(family, message[24 : 24 + size]),
        dport,
        low | high << 32,
        uid,
        inode,
        _waiting(message[72:]),
    )


def _waiting(attributes: bytes) -> int:
    at = 0
    while at + 4 <= len(attributes):
        length, kind = struct.unpack_from("=HH", attributes, at)
        if kind == _MEMINFO:
            return int(struct.unpack_from("=I", attributes, at + 4)[0])
        at += max((length + 3) & ~3, 4)
    return 0
