"""Sockets of this network namespace, by sock_diag(7): fast, however many there are."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from netplan_tproxy.errors import KernelError

ESTABLISHED, CLOSE, LISTEN = 1, 7, 10
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x301
_ERROR, _DONE = 2, 3
_MEMINFO, _SKV6ONLY, _MARK, _SOCKOPT = 1, 11, 15, 22
# Bit field of struct inet_diag_sockopt; compilers count from the other end on big-endian.
_TRANSPARENT = 0x20 if sys.byteorder == "little" else 0x04
_HEADER = struct.Struct("=IHHII")
_QUERY = struct.Struct("=BBBxI2s2s16s16sI8s")  # struct inet_diag_req_v2
# struct inet_diag_msg
_ANSWER = struct.Struct("=BBBB2s2s16s16sI8sIIIII")
_ATTRIBUTE = struct.Struct("=HH")
_BYTES = 1 << 17
HEADER_SIZE = _HEADER.size
_PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}


@dataclass(frozen=True)
class Socket:
    """One socket; ``queued`` of a listener: connections that wait to be accepted.

    ``waiting`` is what the kernel holds for its reader, in bytes with their overhead.
    """

    protocol: str
    family: int
    local: str
    port: int
    remote: str
    remote_port: int
    ifindex: int
    uid: int
    inode: int
    queued: int = 0
    backlog: int = 0
    v6only: bool = False
    # None where the kernel doesn't tell: before 5.10; the mark to CAP_NET_ADMIN alone.
    transparent: bool | None = None
    mark: int | None = None
    cookie: int = 0
    waiting: int = 0

    @property
    def end(self) -> str:
        """Where it is, as text."""
        return joined(self.local, self.port)

    @property
    def remote_end(self) -> str:
        """Whom it is connected to, as text."""
        return joined(self.remote, self.remote_port)


def joined(address: str, port: int) -> str:
    """Give ``address:port``, with brackets around IPv6."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def sockets(protocol: str, family: int, *states: int) -> Iterator[Socket]:
    """Read the sockets of a protocol ("tcp", "udp") in the given TCP states.

    A UDP socket is ``CLOSE`` or, connected, ``ESTABLISHED``. Raises KernelError.
    """
    for data in dump(protocol, family, states, 1 << (_MEMINFO - 1)):
        for payload in payloads(data):
            yield parsed(protocol, payload)


def dump(
    protocol: str, family: int, states: Sequence[int], extensions: int = 0, filtering: bytes = b""
) -> Iterator[bytes]:
    """Yield the kernel's answers as they come, each of whole messages. Raises KernelError.

    ``filtering`` is an attribute that says which sockets it leaves out.
    """
    wanted = sum(1 << state for state in states)
    query = _QUERY.pack(
        family, _PROTOCOLS[protocol], extensions, wanted, b"", b"", b"", b"", 0, b"\xff" * 8
    )
    query += filtering
    request = _HEADER.pack(_HEADER.size + len(query), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as netlink:
            netlink.settimeout(5)
            netlink.sendto(request + query, (0, 0))
            over = False
            while not over:
                data = netlink.recv(_BYTES)
                over = not stride(data) and _is_last(data)
                yield data
    except OSError as refusal:
        message = f"read sockets: {refusal.strerror or refusal}"
        raise KernelError(message, refusal.errno or 0) from refusal


def stride(data: bytes) -> int:
    """Return how long each message is if all are, and all tell of a socket; else 0."""
    length, kind, *_ = _HEADER.unpack_from(data)
    if kind != _SOCK_DIAG_BY_FAMILY or length % 4 or len(data) % length:
        return 0
    words = memoryview(data).cast("I")
    every = length // 4
    same = all(set(words[at::every].tolist()) == {words[at]} for at in (0, 1))
    return length if same else 0


def payloads(data: bytes) -> Iterator[bytes]:
    """Yield what each message tells of a socket; see ``parsed``."""
    return (payload for kind, payload in _messages(data) if kind == _SOCK_DIAG_BY_FAMILY)


def _is_last(data: bytes) -> bool:
    """Whether the answer ends here. Raises OSError where the kernel refuses."""
    for kind, payload in _messages(data):
        if kind == _ERROR:
            code = -struct.unpack_from("=i", payload)[0]
            raise OSError(code, os.strerror(code))
        if kind == _DONE:
            return True
    return False


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        yield kind, data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def parsed(protocol: str, payload: bytes) -> Socket:
    """Read ``struct inet_diag_msg`` and its attributes."""
    (family, _, _, _, sport, dport, source, target, ifindex, cookie, _, rqueue, wqueue, uid,
     inode) = _ANSWER.unpack_from(payload)  # fmt: skip
    size = 4 if family == socket.AF_INET else 16
    only, transparent, mark, waiting = False, None, None, 0
    at = _ANSWER.size
    while at + _ATTRIBUTE.size <= len(payload):
        length, kind = _ATTRIBUTE.unpack_from(payload, at)
        if kind == _SKV6ONLY:
            only = bool(payload[at + _ATTRIBUTE.size])
        elif kind == _SOCKOPT:
            transparent = bool(payload[at + _ATTRIBUTE.size] & _TRANSPARENT)
        elif kind == _MEMINFO:
            (waiting,) = struct.unpack_from("=I", payload, at + _ATTRIBUTE.size)
        elif kind == _MARK:
            (mark,) = struct.unpack_from("=I", payload, at + _ATTRIBUTE.size)
        at += max(_ATTRIBUTE.size, (length + 3) & ~3)
    return Socket(
        protocol, family,
        str(ipaddress.ip_address(source[:size])), int.from_bytes(sport, "big"),
        str(ipaddress.ip_address(target[:size])), int.from_bytes(dport, "big"),
        ifindex, uid, inode, rqueue, wqueue, only, transparent, mark,
        int.from_bytes(cookie, sys.byteorder), waiting,
    )  # fmt: skip
