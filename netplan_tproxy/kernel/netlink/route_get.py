"""Asking the kernel for its way to an address (`ip route get`), without a library."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
from dataclasses import dataclass

from netplan_tproxy.errors import KernelError

_GETROUTE = 26
_REQUEST = 1
_ERROR = 2
_HEADER = struct.Struct("=IHHII")
_MESSAGE = struct.Struct("=BBBBBBBBI")  # struct rtmsg
_DST, _SRC, _IIF, _OIF, _GATEWAY, _PREFSRC, _MARK, _UID = 1, 2, 3, 4, 5, 7, 16, 25
_TYPES = {
    1: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast",
    6: "blackhole", 7: "unreachable", 8: "prohibit",
}  # fmt: skip
# What a lookup answers for routes that say no.
_NO_WAY = {
    errno.ENETUNREACH: "unreachable", errno.EHOSTUNREACH: "unreachable",
    errno.EACCES: "prohibit", errno.EINVAL: "blackhole",
}  # fmt: skip


@dataclass(frozen=True)
class Way:
    """Where a packet goes; ``ifindex`` is the device it leaves by, "" is no address."""

    type: str
    ifindex: int = 0
    source: str = ""
    gateway: str = ""


def way_to(  # noqa: PLR0913 - what a route lookup goes by
    target: str,
    *,
    source: str = "",
    oif: int = 0,
    iif: int = 0,
    mark: int = 0,
    uid: int | None = None,
) -> Way:
    """Ask for the way of what this host sends, or (``iif``) of what comes in by a device.

    ``oif`` is the device that a socket is bound to. Raises KernelError (ENODEV: no such
    device; EINVAL, EXDEV: no such source, or none that may come in there).
    """
    address = ipaddress.ip_address(target)
    bits = address.max_prefixlen
    attributes = _attribute(_DST, address.packed)
    if source:
        attributes += _attribute(_SRC, ipaddress.ip_address(source).packed)
    for kind, number in ((_OIF, oif), (_IIF, iif), (_MARK, mark)):
        if number:
            attributes += _attribute(kind, struct.pack("=I", number))
    if uid is not None:
        attributes += _attribute(_UID, struct.pack("=I", uid))
    v6 = address.version == 6  # noqa: PLR2004
    family = socket.AF_INET6 if v6 else socket.AF_INET
    body = _MESSAGE.pack(family, bits, bits if source else 0, 0, 0, 0, 0, 0, 0) + attributes
    request = _HEADER.pack(_HEADER.size + len(body), _GETROUTE, _REQUEST, 1, 0) + body
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
            netlink.settimeout(5)
            netlink.sendto(request, (0, 0))
            answer = netlink.recv(65536)
    except OSError as refusal:
        message = f"ask for the way to {target}: {refusal.strerror or refusal}"
        raise KernelError(message, refusal.errno or 0) from refusal
    _, kind, *_ = _HEADER.unpack_from(answer)
    payload = answer[_HEADER.size :]
    if kind == _ERROR:
        code = -struct.unpack_from("=i", payload)[0]
        if code in _NO_WAY and not (source and code == errno.EINVAL):
            return Way(_NO_WAY[code])
        message = f"ask for the way to {target}: {os.strerror(code)}"
        raise KernelError(message, code)
    return _parsed(payload)


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _parsed(payload: bytes) -> Way:
    number = _MESSAGE.unpack_from(payload)[7]
    found: dict[int, bytes] = {}
    at = _MESSAGE.size
    while at + 4 <= len(payload):
        length, kind = struct.unpack_from("=HH", payload, at)
        found[kind] = payload[at + 4 : at + length]
        at += max(4, (length + 3) & ~3)
    ifindex = struct.unpack("=I", found[_OIF])[0] if _OIF in found else 0
    texts = [
        str(ipaddress.ip_address(found[kind])) if kind in found else ""
        for kind in (_PREFSRC, _GATEWAY)
    ]
    return Way(_TYPES.get(number, str(number)), ifindex, *texts)
