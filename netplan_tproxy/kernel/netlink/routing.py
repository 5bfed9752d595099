"""Devices, rules and routes over rtnetlink, as plain values."""

from __future__ import annotations

import errno
import os
import socket
import struct
from dataclasses import dataclass
from typing import Any

from netplan_tproxy.kernel.netlink.pyroute import part
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
_RTM_NEWROUTE = 24
_REPLACE = 0x001 | 0x004 | 0x100 | 0x400  # NLM_F_REQUEST, ACK, REPLACE, CREATE
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
        with self._doing("read links"):
            return {
                name: Link(name, link["index"], link["ifi_type"], link.get_attr("IFLA_MASTER") or 0)
                for link in self._dump(self._ip.get_links)
                if (name := link.get_attr("IFLA_IFNAME"))
            }

    def rules(self, family: int) -> list[RuleRecord]:
        """Read the rules that select by fwmark alone (`ip rule`)."""
        found = []
        with self._doing("read rules"):
            for rule in self._dump(lambda: self._ip.get_rules(family=family)):
                attrs = dict(rule["attrs"])
                plain = (
                    attrs.keys() <= _RULE_PLAIN
                    and attrs.get("FRA_SUPPRESS_PREFIXLEN", _SUPPRESS_NOTHING) == _SUPPRESS_NOTHING
                    and "FRA_FWMARK" in attrs
                    and rule["action"] == FR_ACT_TO_TBL
                    and not (rule["src_len"] or rule["dst_len"] or rule["tos"] or rule["flags"])
                )
                if plain:
                    found.append(
                        RuleRecord(
                            family,
                            attrs.get("FRA_PRIORITY", 0),
                            attrs["FRA_FWMARK"],
                            attrs.get("FRA_FWMASK", 0xFFFFFFFF),
                            attrs.get("FRA_TABLE", rule["table"]),
                            attrs.get("FRA_PROTOCOL", 0),
                        )
                    )
        return found

    def add_rule(self, rule: RuleRecord) -> None:
        """Add a rule; one that is there already is fine."""
        with self._doing(f"add rule {rule.priority}", errno.EEXIST):
            self._ip.rule("add", **_rule_arguments(rule))

    def del_rule(self, rule: RuleRecord) -> None:
        """Remove a rule with exactly this identity; none is fine."""
        with self._doing(f"remove rule {rule.priority}", errno.ENOENT):
            self._ip.rule("del", **_rule_arguments(rule))

    def routes(self, family: int, **where: int) -> list[RouteRecord]:
        """Read the routes of a ``table=`` or a ``proto=``; the kernel filters the dump.

        Routes with a metric or TOS are left out: they stand beside ours, not in its place.
        """
        found = []
        with self._doing("read routes"):
            for route in self._dump(lambda: self._ip.route("dump", family=family, **where)):
                attrs = dict(route["attrs"])
                table = attrs.get("RTA_TABLE", route["table"])
                beside = route["tos"] or attrs.get("RTA_PRIORITY", 0) != _DEFAULT_METRIC[family]
                if beside or where.get("table", table) != table:
                    continue
                any_address = "0.0.0.0" if family == socket.AF_INET else "::"  # noqa: S104
                to = f"{attrs.get('RTA_DST', any_address)}/{route['dst_len']}"
                record = RouteRecord(
                    family, table, to, _ROUTE_TYPES.get(route["type"], str(route["type"])),
                    attrs.get("RTA_OIF", 0), route["proto"],
                    "" if attrs.keys() <= _ROUTE_PLAIN else _as_message(route),
                )  # fmt: skip
                found.append(record)
        return found

    def put_route(self, route: RouteRecord, *, replace: bool) -> None:
        """Add a route, or replace the one at its key."""
        command = "replace" if replace else "add"
        with self._doing(f"{command} route {route.to} table {route.table}"):
            if route.raw:
                _put_back(bytes.fromhex(route.raw))
            else:
                self._ip.route(command, **_route_arguments(route))

    def del_route(self, route: RouteRecord) -> None:
        """Remove a route with exactly this identity; none is fine."""
        with self._doing(f"remove route {route.to} table {route.table}", errno.ESRCH):
            self._ip.route("del", **_route_arguments(route))


def _as_message(seen: Any) -> str:
    """Give the message that puts a route as a dump showed it, in hexadecimal."""
    rtmsg = part("netlink.rtnl.rtmsg").rtmsg

    message = rtmsg()
    for name in ("family", "dst_len", "src_len", "tos", "table", "proto", "scope", "type"):
        message[name] = seen[name]
    message["attrs"] = [pair for pair in seen["attrs"] if pair[0] != "RTA_CACHEINFO"]
    message["header"]["type"] = _RTM_NEWROUTE
    message["header"]["flags"] = _REPLACE
    message.encode()
    return bytes(message.data).hex()


def _put_back(message: bytes) -> None:
    """Send it, the way of `ip route restore`."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as raw:
        raw.sendto(message, (0, 0))
        (code,) = struct.unpack_from("=i", raw.recv(65536), 16)
    if code:
        raise OSError(-code, os.strerror(-code))


def _rule_arguments(rule: RuleRecord) -> dict[str, Any]:
    return {
        "family": rule.family, "priority": rule.priority, "fwmark": rule.mark,
        "fwmask": rule.mask, "table": rule.table, "protocol": rule.protocol,
    }  # fmt: skip


def _route_arguments(route: RouteRecord) -> dict[str, Any]:
    arguments = {
        "family": route.family, "table": route.table, "dst": route.to,
        "type": _TYPE_NUMBERS[route.type], "proto": route.protocol,
        "scope": _SCOPES.get(route.type, 0),
    }  # fmt: skip
    if route.ifindex:
        arguments["oif"] = route.ifindex
    return arguments
