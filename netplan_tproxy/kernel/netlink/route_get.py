"""Asking the kernel for its way to an address (`ip route get`), without a library."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from dataclasses import dataclass

from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.netlink.answer import HEADER
from netplan_tproxy.kernel.netlink.channel import Channel
from netplan_tproxy.kernel.netlink.request import attribute, attributes, number

_GETROUTE = 26
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
    asked = attribute(_DST, address.packed)
    if source:
        asked += attribute(_SRC, ipaddress.ip_address(source).packed)
    for kind, value in ((_OIF, oif), (_IIF, iif), (_MARK, mark)):
        if value:
            asked += number(kind, value)
    if uid is not None:
        asked += number(_UID, uid)
    v6 = address.version == 6  # noqa: PLR2004
    family = socket.AF_INET6 if v6 else socket.AF_INET
    body = _MESSAGE.pack(family, bits, bits if source else 0, 0, 0, 0, 0, 0, 0) + asked
    channel = Channel()
    try:
        answer = channel.get(_GETROUTE, body)
    except OSError as refusal:
        code = refusal.errno or 0
        if code in _NO_WAY and not (source and code == errno.EINVAL):
            return Way(_NO_WAY[code])
        message = f"ask for the way to {target}: {refusal.strerror or refusal}"
        raise KernelError(message, code) from refusal
    finally:
        channel.close()
    return _parsed(answer[HEADER.size :])


def _parsed(payload: bytes) -> Way:
    kind = _MESSAGE.unpack_from(payload)[7]
    values = dict(attributes(payload, _MESSAGE.size))
    ifindex = struct.unpack("=I", values[_OIF])[0] if _OIF in values else 0
    texts = [
        str(ipaddress.ip_address(values[kind])) if kind in values else ""
        for kind in (_PREFSRC, _GATEWAY)
    ]
    return Way(_TYPES.get(kind, str(kind)), ifindex, *texts)
