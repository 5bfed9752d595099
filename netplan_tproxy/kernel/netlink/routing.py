"""Routes over rtnetlink, as plain values."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import sys
from dataclasses import dataclass

from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.netlink.answer import HEADER, Reading
from netplan_tproxy.kernel.netlink.channel import ACK, CREATE, EXCL, REPLACE, REQUEST, Channel
from netplan_tproxy.kernel.netlink.request import (
    Request,
    attribute,
    attributes,
    number,
    short_table,
)
from netplan_tproxy.kernel.netlink.socket import Rtnetlink

_ROUTE_TYPES = {
    1: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast",
    6: "blackhole", 7: "unreachable", 8: "prohibit", 9: "throw",
}  # fmt: skip
_TYPE_NUMBERS = {name: number for number, name in _ROUTE_TYPES.items()}
_SCOPES = {"local": 254, "unicast": 253}
NEWROUTE, _DELROUTE, GETROUTE = 24, 25, 26
_MESSAGE = struct.Struct("=8BI")  # struct rtmsg
_DST, _OIF, _PRIORITY, _CACHEINFO, _TABLE, _PREF = 1, 4, 6, 12, 15, 20  # RTA_…
# What a route as we put them shows of itself.
_PLAIN = {_DST, _OIF, _PRIORITY, _CACHEINFO, _TABLE, _PREF}
_ONLINK = 4  # RTNH_F_ONLINK
# IPv6 routes always have a metric (1024 unless given).
_DEFAULT_METRIC = {int(socket.AF_INET): 0, int(socket.AF_INET6): 1024}


@dataclass(frozen=True)
class RouteRecord:
    """A route; ``raw`` is the message that brings it back when it has more than this."""

    family: int
    table: int
    to: str
    type: str
    ifindex: int
    protocol: int
    raw: str = ""


class Routing(Rtnetlink):
    """What ip(8) shows and changes."""

    def routes(self, family: int, *, table: int = 0, proto: int = 0) -> list[RouteRecord]:
        """Read the routes of a table or of a protocol; the kernel filters the dump.

        Routes with a metric or TOS are left out: they stand beside ours, not in its place.
        """
        body = _MESSAGE.pack(family, 0, 0, 0, short_table(table), proto, 0, 0, 0)
        body += number(_TABLE, table) if table else b""

        def parse(reading: Reading) -> list[RouteRecord]:
            records = (_route(family, message) for message in reading.of(family))
            # Kernels before 4.20 tell of all tables and protocols.
            return [
                one
                for one in records
                if one and table in {0, one.table} and proto in {0, one.protocol}
            ]

        # There is no such table until a route is put into it.
        return self._listed("routes", GETROUTE, body, parse, errno.ENOENT)

    def put_route(self, route: RouteRecord, *, replace: bool) -> None:
        """Add a route, or replace the one at its key."""
        self._make(putting_route(route, replace=replace))

    def del_route(self, route: RouteRecord) -> None:
        """Remove a route with exactly this identity; none is fine."""
        self._make(removing_route(route))


def _route(family: int, message: bytes) -> RouteRecord | None:
    """Read a route; None for one with a metric or TOS."""
    _, bits, _, tos, table, protocol, _, kind, _ = _MESSAGE.unpack_from(message, HEADER.size)
    values = dict(attributes(message, HEADER.size + _MESSAGE.size))
    metric = _as_number(values.get(_PRIORITY), 0)
    if tos or metric != _DEFAULT_METRIC[family]:
        return None
    address = values.get(_DST, bytes(4 if family == socket.AF_INET else 16))
    return RouteRecord(
        family, _as_number(values.get(_TABLE), table), f"{ipaddress.ip_address(address)}/{bits}",
        _ROUTE_TYPES.get(kind, str(kind)), _as_number(values.get(_OIF), 0), protocol,
        "" if values.keys() <= _PLAIN else restoring(message),
    )  # fmt: skip


def _as_number(value: bytes | None, default: int) -> int:
    return default if value is None else int.from_bytes(value, sys.byteorder)


def restoring(message: bytes) -> str:
    """Give the message that puts a route as a dump showed it, in hexadecimal."""
    *fields, flags = _MESSAGE.unpack_from(message, HEADER.size)
    # The other flags say how the route fares, and may not be asked for.
    body = _MESSAGE.pack(*fields, flags & _ONLINK)
    for kind, value in attributes(message, HEADER.size + _MESSAGE.size):
        if kind != _CACHEINFO:
            body += attribute(kind, value)
    # A ledger keeps it with a header: earlier versions sent it as it is.
    asked = REQUEST | ACK | REPLACE | CREATE
    return (HEADER.pack(HEADER.size + len(body), NEWROUTE, asked, 0, 0) + body).hex()


def putting_route(route: RouteRecord, *, replace: bool) -> Request:
    """Ask for a route, or for it in place of the one at its key."""
    what = f"{'replace' if replace else 'add'} route {route.to} table {route.table}"
    if route.raw:
        body = bytes.fromhex(route.raw)[HEADER.size :]
        return Request(what, NEWROUTE, body, CREATE | REPLACE)
    return Request(what, NEWROUTE, _body(route), CREATE | (REPLACE if replace else EXCL))


def removing_route(route: RouteRecord) -> Request:
    """Ask for a route with exactly this identity to go; none is fine."""
    what = f"remove route {route.to} table {route.table}"
    return Request(what, _DELROUTE, _body(route), 0, (errno.ESRCH,))


def _body(route: RouteRecord) -> bytes:
    network = ipaddress.ip_network(route.to)
    body = _MESSAGE.pack(
        route.family, network.prefixlen, 0, 0, short_table(route.table), route.protocol,
        _SCOPES.get(route.type, 0), _TYPE_NUMBERS[route.type], 0,
    ) + number(_TABLE, route.table)  # fmt: skip
    if network.prefixlen:
        body += attribute(_DST, network.network_address.packed)
    return body + (number(_OIF, route.ifindex) if route.ifindex else b"")


def has_routes(family: int, table: int) -> bool:
    """Whether a table has any route: only the first answer is read, however long the table.

    Raises KernelError.
    """
    body = _MESSAGE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0) + number(_TABLE, table)
    try:
        return Channel().any(GETROUTE, body)
    except OSError as refusal:
        if refusal.errno == errno.ENOENT:
            return False
        message = f"read routes: {refusal.strerror or refusal}"
        raise KernelError(message, refusal.errno or 0) from refusal
