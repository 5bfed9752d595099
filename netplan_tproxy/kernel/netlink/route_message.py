"""Routes as rtnetlink has them (rtnetlink(7), linux/rtnetlink.h). Pure."""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from netplan_tproxy.kernel.netlink.answer import HEADER
from netplan_tproxy.kernel.netlink.channel import ACK, CREATE, REPLACE, REQUEST
from netplan_tproxy.kernel.netlink.request import attribute, attributes, number, short_table

ROUTE_TYPES = {
    1: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast",
    6: "blackhole", 7: "unreachable", 8: "prohibit", 9: "throw",
}  # fmt: skip
_TYPE_NUMBERS = {name: number for number, name in ROUTE_TYPES.items()}
REFUSING = ("blackhole", "unreachable", "prohibit", "throw")
SCOPES = {0: "global", 200: "site", 253: "link", 254: "host"}
PREFERENCES = {0: "medium", 1: "high", 3: "low"}  # ICMPV6_ROUTER_PREF_…
NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26
MESSAGE = struct.Struct("=8BI")  # struct rtmsg
# RTA_…
_DST, _OIF, _GATEWAY, _PRIORITY, _PREFSRC, _METRICS, _MULTIPATH = 1, 4, 5, 6, 7, 8, 9
_CACHEINFO, TABLE, _VIA, _PREF = 12, 15, 18, 20
# What a route shows of itself that is nothing but where it leads.
_PLAIN = {_DST, _OIF, _PRIORITY, _CACHEINFO, TABLE, _PREF}
_KNOWN = _PLAIN | {_GATEWAY, _PREFSRC, _METRICS, _MULTIPATH, _VIA}
_RTAX = {2: "mtu", 8: "advmss", 11: "initcwnd"}
_ONLINK = 4  # RTNH_F_ONLINK
_NEXT_HOP = struct.Struct("=HBBi")  # struct rtnexthop
# IPv6 routes always have a metric (1024 unless given).
DEFAULT_METRIC = {int(socket.AF_INET): 0, int(socket.AF_INET6): 1024}


@dataclass(frozen=True)
class HopRecord:
    """One of several ways of a route."""

    via: str
    ifindex: int
    weight: int


@dataclass(frozen=True)
class RouteRecord:
    """A route; ``raw`` is the message that brings it back when it has more than its first six.

    What is 0, "" or None is what the kernel does without it (``DEFAULT_METRIC``, ``usual_scope``,
    preference medium). ``more``: it has what no field here holds.
    """

    family: int
    table: int
    to: str
    type: str
    ifindex: int
    protocol: int
    raw: str = ""
    via: str = ""
    src: str = ""
    metric: int = 0
    scope: int | None = None
    mtu: int = 0
    advmss: int = 0
    initcwnd: int = 0
    onlink: bool = False
    pref: int = 0
    nexthops: tuple[HopRecord, ...] = ()
    more: bool = False


def usual_scope(family: int, kind: str, *, onward: bool) -> int:
    """Give the scope that ip-route(8) asks for; ``onward``: by a gateway, or by several ways."""
    if family == socket.AF_INET6:
        return 0
    if kind == "local":
        return 254
    return 253 if kind == "unicast" and not onward else 0


def parsed(family: int, message: bytes) -> RouteRecord | None:
    """Read a route; None for one with a TOS, which stands beside ours, not in its place."""
    _, bits, source_bits, tos, table, protocol, scope, kind, flags = MESSAGE.unpack_from(
        message, HEADER.size
    )
    if tos:
        return None
    values = dict(attributes(message, HEADER.size + MESSAGE.size))
    address = values.get(_DST, bytes(4 if family == socket.AF_INET else 16))
    name = ROUTE_TYPES.get(kind, str(kind))
    via, odd_via = _gateway(values)
    metrics, odd_metrics = _metrics(values.get(_METRICS, b""))
    hops, onlink, odd_hops = _hops(values.get(_MULTIPATH, b""))
    metric = _as_number(values.get(_PRIORITY), 0)
    usual = usual_scope(family, name, onward=bool(via or hops))
    more = bool(source_bits) or odd_via or odd_metrics or odd_hops or values.keys() - _KNOWN
    bare = values.keys() <= _PLAIN and scope == usual and not values.get(_PREF, b"\0").strip(b"\0")
    return RouteRecord(
        family, _as_number(values.get(TABLE), table), f"{ipaddress.ip_address(address)}/{bits}",
        name, _as_number(values.get(_OIF), 0), protocol, "" if bare else restoring(message),
        via=via, src=_address(values.get(_PREFSRC)),
        metric=0 if metric == DEFAULT_METRIC[family] else metric,
        scope=None if scope == usual else scope,
        onlink=onlink or bool(flags & _ONLINK),
        pref=values.get(_PREF, b"\0")[0], nexthops=hops, more=bool(more),
        **{key: metrics.get(key, 0) for key in _RTAX.values()},
    )  # fmt: skip


def _gateway(values: Mapping[int, bytes]) -> tuple[str, bool]:
    """Give the gateway, and whether it is of a family that is not known here."""
    if _VIA in values:
        family = int.from_bytes(values[_VIA][:2], sys.byteorder)
        known = family in {socket.AF_INET, socket.AF_INET6}
        return (_address(values[_VIA][2:]) if known else ""), not known
    return _address(values.get(_GATEWAY)), False


def _address(value: bytes | None) -> str:
    return str(ipaddress.ip_address(value)) if value else ""


def _metrics(nested: bytes) -> tuple[dict[str, int], bool]:
    values = dict(attributes(nested, 0))
    known = {_RTAX[kind]: _as_number(value, 0) for kind, value in values.items() if kind in _RTAX}
    return known, bool(values.keys() - _RTAX.keys())


def _hops(nested: bytes) -> tuple[tuple[HopRecord, ...], bool, bool]:
    """Give the ways, whether they are on-link, and whether there is more about them."""
    hops, flags, odd = [], [], False
    for length, flag, weight, ifindex, values in split_hops(nested):
        del length
        via, odd_via = _gateway(values)
        odd = odd or odd_via or bool(values.keys() - {_GATEWAY, _VIA})
        hops.append(HopRecord(via, ifindex, weight + 1))
        flags.append(bool(flag & _ONLINK))
    return tuple(hops), any(flags), odd or (any(flags) and not all(flags))


def split_hops(nested: bytes) -> Iterator[tuple[int, int, int, int, dict[int, bytes]]]:
    """Give length, flags, weight less one, device and attributes of each way."""
    at = 0
    while at + _NEXT_HOP.size <= len(nested):
        length, flag, weight, ifindex = _NEXT_HOP.unpack_from(nested, at)
        values = dict(attributes(nested[: at + length], at + _NEXT_HOP.size))
        yield length, flag, weight, ifindex, values
        at += max(_NEXT_HOP.size, (length + 3) & ~3)


def _as_number(value: bytes | None, default: int) -> int:
    return default if value is None else int.from_bytes(value, sys.byteorder)


def restoring(message: bytes) -> str:
    """Give the message that puts a route as a dump showed it, in hexadecimal."""
    *fields, flags = MESSAGE.unpack_from(message, HEADER.size)
    # The other flags say how the route fares, and may not be asked for.
    body = MESSAGE.pack(*fields, flags & _ONLINK)
    for kind, value in attributes(message, HEADER.size + MESSAGE.size):
        if kind != _CACHEINFO:
            body += attribute(kind, value)
    # A ledger keeps it with a header: earlier versions sent it as it is.
    asked = REQUEST | ACK | REPLACE | CREATE
    return (HEADER.pack(HEADER.size + len(body), NEWROUTE, asked, 0, 0) + body).hex()


def putting_body(route: RouteRecord) -> bytes:
    """Give the body of the message that puts a route."""
    body = _head(route, _ONLINK if route.onlink and not route.nexthops else 0)
    if route.ifindex:
        body += number(_OIF, route.ifindex)
    body += _via(route.family, route.via)
    if route.src:
        body += attribute(_PREFSRC, ipaddress.ip_address(route.src).packed)
    settled = {kind: getattr(route, name) for kind, name in _RTAX.items()}
    nested = b"".join(number(kind, value) for kind, value in settled.items() if value)
    if nested:
        body += attribute(_METRICS, nested)
    if route.nexthops:
        flag = _ONLINK if route.onlink else 0
        body += attribute(
            _MULTIPATH, b"".join(_hop(route.family, one, flag) for one in route.nexthops)
        )
    return body + (attribute(_PREF, bytes([route.pref])) if route.pref else b"")


def removing_body(route: RouteRecord) -> bytes:
    """Give the body of the message that removes a route: all that the kernel tells it by.

    The ways of a multipath route are left out: the kernel compares them in its own order, and
    without them takes all.
    """
    body = _head(route, 0)
    if route.ifindex and route.type not in REFUSING and not route.nexthops:
        body += number(_OIF, route.ifindex)
    return body if route.nexthops else body + _via(route.family, route.via)


def _head(route: RouteRecord, flags: int) -> bytes:
    network = ipaddress.ip_network(route.to)
    scope = route.scope
    if scope is None:
        onward = bool(route.via or route.nexthops)
        scope = usual_scope(route.family, route.type, onward=onward)
    body = MESSAGE.pack(
        route.family, network.prefixlen, 0, 0, short_table(route.table), route.protocol, scope,
        _TYPE_NUMBERS[route.type], flags,
    ) + number(TABLE, route.table)  # fmt: skip
    if network.prefixlen:
        body += attribute(_DST, network.network_address.packed)
    metric = route.metric or DEFAULT_METRIC[route.family]
    return body + (number(_PRIORITY, metric) if metric else b"")


def _via(family: int, via: str) -> bytes:
    if not via:
        return b""
    address = ipaddress.ip_address(via)
    own = socket.AF_INET6 if address.version == 6 else socket.AF_INET  # noqa: PLR2004
    if own == family:
        return attribute(_GATEWAY, address.packed)
    return attribute(_VIA, struct.pack("=H", own) + address.packed)


def _hop(family: int, hop: HopRecord, flag: int) -> bytes:
    way = _via(family, hop.via)
    return _NEXT_HOP.pack(_NEXT_HOP.size + len(way), flag, hop.weight - 1, hop.ifindex) + way
