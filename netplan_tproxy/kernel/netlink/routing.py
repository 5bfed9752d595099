"""Devices, rules and routes over rtnetlink, as plain values."""

from __future__ import annotations

import errno
import ipaddress
import socket
from dataclasses import dataclass
from typing import Any

from netplan_tproxy.kernel.netlink.answer import HEADER, Reading
from netplan_tproxy.kernel.netlink.channel import (
    ACK,
    CREATE,
    EXCL,
    REPLACE,
    REQUEST,
)
from netplan_tproxy.kernel.netlink.pyroute import decoded, encoded
from netplan_tproxy.kernel.netlink.socket import Rtnetlink

FR_ACT_TO_TBL = 1
_ROUTE_TYPES = {
    1: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast",
    6: "blackhole", 7: "unreachable", 8: "prohibit", 9: "throw",
}  # fmt: skip
_TYPE_NUMBERS = {name: number for number, name in _ROUTE_TYPES.items()}
_SCOPES = {"local": 254, "unicast": 253}
# What a fwmark rule may carry besides its selector; anything else makes it another rule.
_RULE_PLAIN = {
    "FRA_TABLE", "FRA_SUPPRESS_PREFIXLEN", "FRA_PROTOCOL", "FRA_PRIORITY", "FRA_FWMARK",
    "FRA_FWMASK",
}  # fmt: skip
_GETLINK = 18
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_NEWRULE, _DELRULE, GETRULE = 32, 33, 34
_RT_TABLE_COMPAT = 252  # the number is in an attribute: it takes more than a byte
_SUPPRESS_NOTHING = 0xFFFFFFFF
# IPv6 routes always have a metric (1024 unless given), and show more of themselves.
_DEFAULT_METRIC = {int(socket.AF_INET): 0, int(socket.AF_INET6): 1024}
_ROUTE_PLAIN = {
    "RTA_TABLE", "RTA_OIF", "RTA_DST", "RTA_PRIORITY", "RTA_CACHEINFO", "RTA_PREF",
}  # fmt: skip


@dataclass(frozen=True)
class Link:
    """A network device; ``type`` is its ARPHRD number (1: Ethernet, 772: loopback)."""

    name: str
    ifindex: int
    type: int
    master: int = 0


@dataclass(frozen=True)
class RuleRecord:
    """A rule that selects by fwmark alone and looks up a table."""

    family: int
    priority: int
    mark: int
    mask: int
    table: int
    protocol: int


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

    def links(self) -> dict[str, Link]:
        """Read all devices, by name."""

        def parse(reading: Reading) -> list[Link]:
            links = (decoded("ifinfmsg", message) for message in reading.messages)
            return [
                Link(name, link["index"], link["ifi_type"], link.get_attr("IFLA_MASTER") or 0)
                for link in links
                if (name := link.get_attr("IFLA_IFNAME"))
            ]

        links = self._listed("links", _GETLINK, encoded("ifinfmsg"), parse)
        return {link.name: link for link in links}

    def rules(self, family: int) -> list[RuleRecord]:
        """Read the rules that select by fwmark alone (`ip rule`)."""

        def parse(reading: Reading) -> list[RuleRecord]:
            rules = (decoded("fibmsg", message) for message in reading.messages)
            return [record for rule in rules if (record := _plain_rule(family, rule))]

        return self._listed("rules", GETRULE, encoded("fibmsg", family=family), parse)

    def add_rule(self, rule: RuleRecord) -> None:
        """Add a rule; one that is there already is fine."""
        with self._doing(f"add rule {rule.priority}", errno.EEXIST):
            self._channel.change(_NEWRULE, _rule_body(rule), CREATE | EXCL)

    def del_rule(self, rule: RuleRecord) -> None:
        """Remove a rule with exactly this identity; none is fine."""
        with self._doing(f"remove rule {rule.priority}", errno.ENOENT):
            self._channel.change(_DELRULE, _rule_body(rule))

    def routes(self, family: int, *, table: int = 0, proto: int = 0) -> list[RouteRecord]:
        """Read the routes of a table or of a protocol; the kernel filters the dump.

        Routes with a metric or TOS are left out: they stand beside ours, not in its place.
        """
        attributes = [("RTA_TABLE", table)] if table else []
        body = encoded(
            "rtmsg", attributes, family=family, table=_short_table(table), proto=proto
        )  # fmt: skip

        def parse(reading: Reading) -> list[RouteRecord]:
            routes = (decoded("rtmsg", message) for message in reading.messages)
            records = (_route_record(family, route) for route in routes)
            # Kernels before 4.20 tell of all tables and protocols.
            return [
                one
                for one in records
                if one and table in {0, one.table} and proto in {0, one.protocol}
            ]

        # There is no such table until a route is put into it.
        return self._listed("routes", _GETROUTE, body, parse, errno.ENOENT)

    def put_route(self, route: RouteRecord, *, replace: bool) -> None:
        """Add a route, or replace the one at its key."""
        command = "replace" if replace else "add"
        with self._doing(f"{command} route {route.to} table {route.table}"):
            if route.raw:
                body = bytes.fromhex(route.raw)[HEADER.size :]
                self._channel.change(_NEWROUTE, body, CREATE | REPLACE)
            else:
                flags = CREATE | (REPLACE if replace else EXCL)
                self._channel.change(_NEWROUTE, _route_body(route), flags)

    def del_route(self, route: RouteRecord) -> None:
        """Remove a route with exactly this identity; none is fine."""
        with self._doing(f"remove route {route.to} table {route.table}", errno.ESRCH):
            self._channel.change(_DELROUTE, _route_body(route))


def _plain_rule(family: int, rule: Any) -> RuleRecord | None:
    attrs = dict(rule["attrs"])
    plain = (
        attrs.keys() <= _RULE_PLAIN
        and attrs.get("FRA_SUPPRESS_PREFIXLEN", _SUPPRESS_NOTHING) == _SUPPRESS_NOTHING
        and "FRA_FWMARK" in attrs
        and rule["action"] == FR_ACT_TO_TBL
        and not (rule["src_len"] or rule["dst_len"] or rule["tos"] or rule["flags"])
    )
    if not plain:
        return None
    return RuleRecord(
        family,
        attrs.get("FRA_PRIORITY", 0),
        attrs["FRA_FWMARK"],
        attrs.get("FRA_FWMASK", 0xFFFFFFFF),
        attrs.get("FRA_TABLE", rule["table"]),
        attrs.get("FRA_PROTOCOL", 0),
    )


def _route_record(family: int, route: Any) -> RouteRecord | None:
    attrs = dict(route["attrs"])
    if route["tos"] or attrs.get("RTA_PRIORITY", 0) != _DEFAULT_METRIC[family]:
        return None
    any_address = "0.0.0.0" if family == socket.AF_INET else "::"  # noqa: S104
    return RouteRecord(
        family, attrs.get("RTA_TABLE", route["table"]),
        f"{attrs.get('RTA_DST', any_address)}/{route['dst_len']}",
        _ROUTE_TYPES.get(route["type"], str(route["type"])),
        attrs.get("RTA_OIF", 0), route["proto"],
        "" if attrs.keys() <= _ROUTE_PLAIN else _as_message(route),
    )  # fmt: skip


def _as_message(seen: Any) -> str:
    """Give the message that puts a route as a dump showed it, in hexadecimal."""
    names = ("family", "dst_len", "src_len", "tos", "table", "proto", "scope", "type")
    attributes = [(name, value) for name, value in seen["attrs"] if name != "RTA_CACHEINFO"]
    body = encoded("rtmsg", attributes, **{name: seen[name] for name in names})
    # A ledger keeps it with a header: earlier versions sent it as it is.
    flags = REQUEST | ACK | REPLACE | CREATE
    return (HEADER.pack(HEADER.size + len(body), _NEWROUTE, flags, 0, 0) + body).hex()


def _short_table(table: int) -> int:
    return table if table < 256 else _RT_TABLE_COMPAT  # noqa: PLR2004 - a byte


def _rule_body(rule: RuleRecord) -> bytes:
    attributes = [
        ("FRA_TABLE", rule.table), ("FRA_PRIORITY", rule.priority), ("FRA_FWMARK", rule.mark),
        ("FRA_FWMASK", rule.mask), ("FRA_PROTOCOL", rule.protocol),
    ]  # fmt: skip
    return encoded(
        "fibmsg", attributes, family=rule.family, table=_short_table(rule.table),
        action=FR_ACT_TO_TBL,
    )  # fmt: skip


def _route_body(route: RouteRecord) -> bytes:
    network = ipaddress.ip_network(route.to)
    attributes: list[tuple[str, Any]] = [("RTA_TABLE", route.table)]
    if network.prefixlen:
        attributes.append(("RTA_DST", str(network.network_address)))
    if route.ifindex:
        attributes.append(("RTA_OIF", route.ifindex))
    return encoded(
        "rtmsg", attributes, family=route.family, dst_len=network.prefixlen,
        table=_short_table(route.table), proto=route.protocol,
        scope=_SCOPES.get(route.type, 0), type=_TYPE_NUMBERS[route.type],
    )  # fmt: skip
