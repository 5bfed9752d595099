"""Random site files, and random things of others that are there before and stay."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st

from tests.lab.tcx import HAS_TCX, WAYS

PORTS = (9040, 9041)
MARKS = ("0x1/0x1", "0x40/0xf0", "0x100/0x100")
TABLES = (100, 101)
ROUTES = (
    "{to: 198.51.100.0/24, via: 10.77.0.1, dev: wan0, mtu: 1400}",
    "{to: 198.51.100.0/24, type: blackhole, metric: 9}",
    "{to: 198.51.100.0/24, nexthops: [{via: 10.77.0.1, dev: wan0}, {dev: wan1, weight: 2}]}",
    "{to: 192.0.2.0/24, via: 198.51.100.1, dev: wan1, onlink: true}",
    '{to: "2001:db8::/32", via: "fd77::1", dev: wan0, pref: low}',
    '{to: "2001:db8::/32", type: unreachable}',
)
FORWARDING: tuple[dict[str, int], ...] = (
    {},
    {},
    {"ip_forward": 1},
    {"ip_forward": 1, "conf.wan0.forwarding": 0},
    {"conf.wan0.forwarding": 1},
    {"conf.default.rp_filter": 1},
)


class Foreign(NamedTuple):
    """How somebody puts a thing there, and takes it away."""

    put: str
    take: str


FOREIGN = (
    Foreign(
        "ip rule add prio 1000 fwmark 0x8/0x8 lookup 100 proto 7",
        "ip rule del prio 1000 fwmark 0x8/0x8 lookup 100 proto 7",
    ),
    # The very same as ours may be.
    Foreign(
        "ip rule add prio 1000 fwmark 0x1/0x1 lookup 100",
        "ip rule del prio 1000 fwmark 0x1/0x1 lookup 100",
    ),
    Foreign(
        "ip route add local default dev lo table 101 proto 7",
        "ip route del local default dev lo table 101 proto 7",
    ),
    Foreign(
        "ip route add 192.0.2.0/24 dev wan0 table 100 metric 3",
        "ip route del 192.0.2.0/24 table 100 metric 3",
    ),
    Foreign(
        "ip route add 198.51.100.0/24 via 10.77.0.1 table 101 metric 77 mtu 1300",
        "ip route del 198.51.100.0/24 table 101 metric 77",
    ),
    Foreign("tc qdisc add dev wan0 clsact", "tc qdisc del dev wan0 clsact"),
    Foreign(
        "tc qdisc add dev wan1 clsact;"
        "tc filter add dev wan1 egress prio 20 handle 7 protocol all bpf da bytecode 1,6_0_0_0",
        "tc qdisc del dev wan1 clsact",
    ),
    Foreign(
        "sysctl -qw net.ipv4.conf.lo.accept_local=1", "sysctl -qw net.ipv4.conf.lo.accept_local=0"
    ),
)
# No command attaches one here: the test does what such a line says.
FOREIGN_TCX = (
    Foreign("tcx add wan0 egress", "tcx del wan0 egress"),
    Foreign("tcx add lo ingress", "tcx del lo ingress"),
)


def sites() -> st.SearchStrategy[str]:
    """Give the text of a site file that every lab with two uplinks can carry."""
    return st.builds(
        _text,
        uplinks=st.sampled_from([("wan0",), ("wan1",), ("wan0", "wan1")]),
        port=st.sampled_from(PORTS),
        udp=st.booleans(),
        ipv6=st.booleans(),
        mark=st.sampled_from(MARKS),
        table=st.sampled_from(TABLES),
        priority=st.sampled_from([None, 900, 1000]),
        ttl=st.sampled_from([None, 33, 65]),
        forwarding=st.sampled_from(FORWARDING),
        networks=st.sampled_from([(), ("10.0.0.0/8",), ("10.0.0.0/8", "192.0.2.0/24")]),
        ports=st.sampled_from([None, "[80]", "[80, 443, 8000-8999]"]),
        down=st.sampled_from(["drop", "bypass"]),
        attach=st.sampled_from([None, "auto", *WAYS]),
        more=st.lists(st.sampled_from(ROUTES), unique_by=_slot, max_size=3),
    )


def _slot(route: str) -> str:
    """What no two routes may have in common."""
    return route.partition(",")[0] + str("metric" in route)


def _text(
    *,
    uplinks: tuple[str, ...],
    port: int,
    udp: bool,
    ipv6: bool,
    mark: str,
    table: int,
    priority: int | None,
    ttl: int | None,
    forwarding: dict[str, int],
    networks: tuple[str, ...],
    ports: str | None,
    down: str,
    attach: str | None,
    more: list[str],
) -> str:
    kinds = ["tcp"] + ["udp"] * udp + ["tcp6"] * ipv6
    routes = ["{to: default}"] + ['{to: "::/0"}'] * ipv6
    routes += [route for route in more if ipv6 or '"' not in route]
    rule = f"{{mark: intercept, table: {table}"
    rule += f", priority: {priority}}}" if priority else "}"
    lines = [
        "version: 1",
        f"interfaces: {{{', '.join(f'{name}: {{}}' for name in uplinks)}}}",
        f"proxy: {{{', '.join(f'{kind}: {{port: {port}}}' for kind in kinds)}, when_down: {down}}}",
        f"marks: {{intercept: {mark}}}",
        f"route_tables: {{{table}: [{', '.join(routes)}]}}",
        f"rules: [{rule}]",
    ]
    settings = forwarding | ({"ip_default_ttl": ttl} if ttl else {})
    named = [f"net.ipv4.{name}: {value}" for name, value in settings.items()]
    lines += [f"sysctls: {{{', '.join(named)}}}"] if named else []
    lines += [f"attach: {attach}"] if attach else []
    lines += [f"bypass: {{to: [{', '.join(networks)}]}}"] if networks else []
    lines += [f"intercept: {{ports: {ports}}}"] if ports else []
    return "\n".join(lines) + "\n"


def foreigners() -> st.SearchStrategy[list[Foreign]]:
    """Give some of them, in the order in which they come."""
    return st.lists(st.sampled_from(FOREIGN + FOREIGN_TCX * HAS_TCX), unique=True, max_size=4)
