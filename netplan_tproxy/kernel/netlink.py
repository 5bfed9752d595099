"""Links, rules, routes, qdiscs and filters over rtnetlink, as plain values.

The one place where pyroute2 is used for them. Reading gives frozen records; each
change is one request that carries the full identity of its object, since a request
that leaves something out may hit somebody else's (rtnetlink(7)).
"""

from __future__ import annotations

import errno
import os
import socket
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from netplan_tproxy.errors import KernelError

ETH_P_ALL = 0x0003
CLSACT_INGRESS = 0xFFFFFFF2
CLSACT_EGRESS = 0xFFFFFFF3
CLSACT_PARENT = 0xFFFFFFF1
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
_TCA_BPF_FLAG_ACT_DIRECT = 1
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
    """A route; ``plain`` is False when it has more than type, destination and device."""

    family: int
    table: int
    to: str
    type: str
    ifindex: int
    protocol: int
    plain: bool


@dataclass(frozen=True)
class FilterRecord:
    """A filter on a clsact hook; ``prog_id`` is 0 unless it is a bpf filter."""

    parent: int
    prio: int
    handle: int
    what: str
    name: str
    prog_id: int
    protocol: int = ETH_P_ALL
    direct: bool = True


class Netlink:
    """An rtnetlink socket of the network namespace it is made in."""

    def __init__(self) -> None:
        # pyroute2 takes a quarter of a second to import; --help and --version don't need it.
        from pyroute2 import IPRoute  # noqa: PLC0415
        from pyroute2.netlink.exceptions import NetlinkError  # noqa: PLC0415
        from pyroute2.netlink.rtnl.tcmsg import sched_bpf  # noqa: PLC0415

        # include/uapi/linux/pkt_cls.h goes on where pyroute2's table ends.
        if len(sched_bpf.options.nla_map) == 9:  # noqa: PLR2004
            sched_bpf.options.nla_map += (
                ("TCA_BPF_FLAGS_GEN", "uint32"),
                ("TCA_BPF_TAG", "hex"),
                ("TCA_BPF_ID", "uint32"),
            )
        self._refused: type[Exception] = NetlinkError
        # Strict checking lets the kernel filter a dump by table instead of us.
        self._ip: Any = IPRoute(ext_ack=True, strict_check=True)
        self._rich_routes: dict[RouteRecord, dict[str, Any]] = {}

    def close(self) -> None:
        """Close the socket."""
        self._ip.close()

    @contextmanager
    def _doing(self, what: str, *fine: int) -> Iterator[None]:
        try:
            yield
        except self._refused as refusal:
            code = getattr(refusal, "code", 0)
            if code not in fine:
                text = str(refusal.args[1]) if len(refusal.args) > 1 else os.strerror(code)
                name = errno.errorcode.get(code, str(code))
                raise KernelError(f"{what}: {text} ({name})", code) from refusal
        except OSError as refusal:
            raise KernelError(f"{what}: {refusal.strerror}", refusal.errno or 0) from refusal

    def links(self) -> dict[str, Link]:
        """Read all devices, by name."""
        with self._doing("read links"):
            return {
                name: Link(
                    name, link["index"], link["ifi_type"], link.get_attr("IFLA_MASTER") or 0
                )
                for link in self._ip.get_links()
                if (name := link.get_attr("IFLA_IFNAME"))
            }

    def rules(self, family: int) -> list[RuleRecord]:
        """Read the rules that select by fwmark alone (`ip rule`)."""
        found = []
        with self._doing("read rules"):
            for rule in self._ip.get_rules(family=family):
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
            for route in self._ip.route("dump", family=family, **where):
                attrs = dict(route["attrs"])
                table = attrs.get("RTA_TABLE", route["table"])
                metric = attrs.get("RTA_PRIORITY", 0)
                beside = route["tos"] or metric != _DEFAULT_METRIC[family]
                if beside or where.get("table", table) != table:
                    continue
                any_address = "0.0.0.0" if family == socket.AF_INET else "::"  # noqa: S104
                to = f"{attrs.get('RTA_DST', any_address)}/{route['dst_len']}"
                record = RouteRecord(
                    family, table, to, _ROUTE_TYPES.get(route["type"], str(route["type"])),
                    attrs.get("RTA_OIF", 0), route["proto"],
                    attrs.keys() <= _ROUTE_PLAIN,
                )  # fmt: skip
                if not record.plain:
                    self._rich_routes[record] = route
                found.append(record)
        return found

    def put_route(self, route: RouteRecord, *, replace: bool) -> None:
        """Add a route, or replace the one at its key."""
        command = "replace" if replace else "add"
        with self._doing(f"{command} route {route.to} table {route.table}"):
            if route in self._rich_routes:
                self._put_back(self._rich_routes[route])
            else:
                self._ip.route(command, **_route_arguments(route))

    def _put_back(self, seen: Any) -> None:
        """Put a route as a dump showed it, the way of `ip route restore`."""
        from pyroute2.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST  # noqa: PLC0415
        from pyroute2.netlink.rtnl import RTM_NEWROUTE  # noqa: PLC0415
        from pyroute2.netlink.rtnl.rtmsg import rtmsg  # noqa: PLC0415

        message = rtmsg()
        for name in ("family", "dst_len", "src_len", "tos", "table", "proto", "scope", "type"):
            message[name] = seen[name]
        message["attrs"] = [pair for pair in seen["attrs"] if pair[0] != "RTA_CACHEINFO"]
        flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE
        for _ in self._ip.nlm_request(message, msg_type=RTM_NEWROUTE, msg_flags=flags):
            pass

    def del_route(self, route: RouteRecord) -> None:
        """Remove a route with exactly this identity; none is fine."""
        with self._doing(f"remove route {route.to} table {route.table}", errno.ESRCH):
            self._ip.route("del", **_route_arguments(route))

    def ingress_qdiscs(self) -> dict[int, str]:
        """Name the qdiscs at the ingress hooks ("clsact", "ingress"), by ifindex."""
        with self._doing("read qdiscs"):
            return {
                qdisc["index"]: str(qdisc.get_attr("TCA_KIND"))
                for qdisc in self._ip.get_qdiscs()
                if qdisc["parent"] == CLSACT_PARENT
            }

    def add_clsact(self, ifindex: int) -> None:
        """Add a clsact qdisc (tc-bpf(8)); one that is there already is fine."""
        with self._doing("add clsact", errno.EEXIST):
            self._ip.tc("add", "clsact", ifindex)

    def del_clsact(self, ifindex: int) -> None:
        """Remove the clsact qdisc; none, or no device, is fine."""
        gone = (errno.ENOENT, errno.EINVAL, errno.ENODEV)
        with self._doing("remove clsact", *gone):
            self._ip.tc("del", "clsact", ifindex)

    def filters(self, ifindex: int, parent: int) -> list[FilterRecord]:
        """Read the filters of one clsact hook."""
        found = []
        with self._doing("read filters", errno.ENODEV, errno.EINVAL):
            for record in self._ip.get_filters(index=ifindex, parent=parent):
                handle = record["handle"]
                what = record.get_attr("TCA_KIND") or ""
                # A dump starts each prio with a header record that has no handle.
                if not handle:
                    continue
                options = record.get_attr("TCA_OPTIONS")
                is_bpf = what == "bpf" and options is not None
                attrs = dict(options["attrs"]) if is_bpf else {}
                found.append(
                    FilterRecord(
                        parent, record["info"] >> 16, handle, what,
                        attrs.get("TCA_BPF_NAME", ""), attrs.get("TCA_BPF_ID", 0),
                        socket.ntohs(record["info"] & 0xFFFF),
                        bool(attrs.get("TCA_BPF_FLAGS", 0) & _TCA_BPF_FLAG_ACT_DIRECT),
                    )
                )  # fmt: skip
        return found

    def put_filter(self, ifindex: int, record: FilterRecord, fd: int) -> None:
        """Put a direct-action bpf filter at its prio and handle, in place of what is there."""
        with self._doing(f"put filter {record.name}"):
            self._ip.tc(
                "replace-filter", "bpf", ifindex, record.handle, parent=record.parent,
                prio=record.prio, protocol=ETH_P_ALL, fd=fd, name=record.name, direct_action=True,
            )  # fmt: skip

    def del_filter(self, ifindex: int, record: FilterRecord) -> None:
        """Remove one filter by prio and handle; none, or no device, is fine."""
        gone = (errno.ENOENT, errno.EINVAL, errno.ENODEV)
        with self._doing(f"remove filter {record.name}", *gone):
            self._ip.tc(
                "del-filter", "bpf", ifindex, record.handle, parent=record.parent,
                prio=record.prio, protocol=ETH_P_ALL,
            )  # fmt: skip


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
