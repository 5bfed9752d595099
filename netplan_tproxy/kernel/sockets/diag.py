"""Sockets of this network namespace, by sock_diag(7): fast, however many there are."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

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
    wanted = sum(1 << state for state in states)
    query = _QUERY.pack(
        family, _PROTOCOLS[protocol], 1 << (_MEMINFO - 1), wanted,
        b"", b"", b"", b"", 0, b"\xff" * 8,
    )  # fmt: skip
    request = _HEADER.pack(_HEADER.size + len(query), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as netlink:
            netlink.settimeout(5)
            netlink.sendto(request + query, (0, 0))
            for payload in _messages(netlink):
                yield _parsed(protocol, payload)
    except OSError as refusal:
        message = f"read sockets: {refusal.strerror or refusal}"
        raise KernelError(message, refusal.errno or 0) from refusal


def _messages(netlink: socket.socket) -> Iterator[bytes]:
    while True:
        data = netlink.recv(_BYTES)
        at = 0
        while at + _HEADER.size <= len(data):
            length, kind, *_ = _HEADER.unpack_from(data, at)
            payload = data[at + _HEADER.size : at + length]
            if kind == _DONE:
                return
            if kind == _ERROR:
                code = -struct.unpack_from("=i", payload)[0]
                raise OSError(code, os.strerror(code))
            yield payload
            at += (length + 3) & ~3


def _parsed(protocol: str, payload: bytes) -> Socket:
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


def owners(inodes: Iterable[int]) -> dict[int, list[tuple[int, str]]]:
    """Give the processes, as (pid, name), that hold sockets, by inode (proc(5)).

    Those that may not be looked into, or are in another pid namespace, are left out.
    """
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    by_inode: dict[int, list[tuple[int, str]]] = {}
    if not wanted:
        return by_inode
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        held = {wanted[name] for name in _descriptors(process) if name in wanted}
        if held:
            with contextlib.suppress(OSError):
                name = (process / "comm").read_text(errors="replace").strip()
                for inode in held:
                    by_inode.setdefault(inode, []).append((int(process.name), name))
    return by_inode


def _descriptors(process: Path) -> Iterator[str]:
    """Give what a process has open; descriptors come and go meanwhile."""
    try:
        entries = list((process / "fd").iterdir())
    except OSError:
        return
    for entry in entries:
        with contextlib.suppress(OSError):
            yield str(entry.readlink())
