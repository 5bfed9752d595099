"""Routes and rules as rtnetlink requests (struct rtmsg, struct fib_rule_hdr and attributes)."""

from __future__ import annotations

import errno
import ipaddress
import struct

from netplan_tproxy.kernel.netlink.batch import CREATE, EXCL, REPLACE, Request
from netplan_tproxy.kernel.netlink.routing import RouteRecord, RuleRecord

_NEWROUTE, _DELROUTE, _NEWRULE, _DELRULE = 24, 25, 32, 33
_HEADER_BYTES = 16
_RTA_DST, _RTA_OIF, _RTA_TABLE = 1, 4, 15
_FRA_PRIORITY, _FRA_FWMARK, _FRA_TABLE, _FRA_FWMASK, _FRA_PROTOCOL = 6, 10, 15, 16, 21
# struct rtmsg and struct fib_rule_hdr are of one size and begin alike.
_MESSAGE = struct.Struct("=8BI")
_TO_TABLE = 1
# A table's number that takes more than a byte stands in an attribute alone.
_COMPAT = 252
_SCOPE_LINK, _SCOPE_HOST, _SCOPE_UNIVERSE = 253, 254, 0
_TYPES = {
    "unicast": 1, "local": 2, "broadcast": 3, "anycast": 4, "multicast": 5, "blackhole": 6,
    "unreachable": 7, "prohibit": 8, "throw": 9,
}  # fmt: skip
_SCOPES = {"local": _SCOPE_HOST, "unicast": _SCOPE_LINK}


def put_route(route: RouteRecord, *, replace: bool) -> Request:
    """Ask for a route, or for it in place of the one at its key."""
    what = f"{'replace' if replace else 'add'} route {route.to} table {route.table}"
    if route.raw:
        message = bytes.fromhex(route.raw)
        return Request(what, _NEWROUTE, CREATE | REPLACE, message[_HEADER_BYTES:])
    return Request(what, _NEWROUTE, CREATE | (REPLACE if replace else EXCL), _route(route))


def del_route(route: RouteRecord) -> Request:
    """Ask for a route with exactly this identity to go; none is fine."""
    what = f"remove route {route.to} table {route.table}"
    return Request(what, _DELROUTE, 0, _route(route), (errno.ESRCH,))


def add_rule(rule: RuleRecord) -> Request:
    """Ask for a rule; one that is there already is fine."""
    what = f"add rule {rule.priority}"
    return Request(what, _NEWRULE, CREATE | EXCL, _rule(rule), (errno.EEXIST,))


def del_rule(rule: RuleRecord) -> Request:
    """Ask for a rule with exactly this identity to go; none is fine."""
    return Request(f"remove rule {rule.priority}", _DELRULE, 0, _rule(rule), (errno.ENOENT,))


def _route(route: RouteRecord) -> bytes:
    network = ipaddress.ip_network(route.to)
    table = route.table if route.table < 256 else _COMPAT  # noqa: PLR2004 - a byte
    scope = _SCOPES.get(route.type, _SCOPE_UNIVERSE)
    body = _MESSAGE.pack(
        route.family, network.prefixlen, 0, 0, table, route.protocol, scope,
        _TYPES[route.type], 0,
    )  # fmt: skip
    body += _number(_RTA_TABLE, route.table)
    if network.prefixlen:
        body += _attribute(_RTA_DST, network.network_address.packed)
    return body + (_number(_RTA_OIF, route.ifindex) if route.ifindex else b"")


def _rule(rule: RuleRecord) -> bytes:
    table = rule.table if rule.table < 256 else _COMPAT  # noqa: PLR2004 - a byte
    body = _MESSAGE.pack(rule.family, 0, 0, 0, table, 0, 0, _TO_TABLE, 0)
    return b"".join(
        (
            body,
            _number(_FRA_TABLE, rule.table),
            _number(_FRA_PRIORITY, rule.priority),
            _number(_FRA_FWMARK, rule.mark),
            _number(_FRA_FWMASK, rule.mask),
            _attribute(_FRA_PROTOCOL, bytes([rule.protocol])),
        )
    )


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack("=I", value))


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
