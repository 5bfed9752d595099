"""What is warned of: files that are right, and yet do nothing or do harm."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netplan_tproxy.site.address_set import AddressSet
from netplan_tproxy.site.caution import SiteWarning, warnings
from netplan_tproxy.site.load import load, parse
from netplan_tproxy.site.model import AF_INET, AF_INET6
from netplan_tproxy.site.sections.networks import parse_network, prefixes

_EXAMPLES = sorted((Path(__file__).parents[2] / "examples").rglob("site.yaml"))
_EXAMPLES += sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
_BOTH = frozenset({AF_INET, AF_INET6})
_TCP = "proxy: {port: 9040}"
_CUT_OFF = "{mark: bypass, table: 100, priority: 6}"
_TCP_BOTH = "proxy: {port: 9040, tcp6: {port: 9040}}"


def _warnings(rest: str, routed: frozenset[int] = frozenset()) -> list[SiteWarning]:
    """The warnings of a file whose third line is the first of ``rest``."""
    return warnings(parse(f"version: 1\ninterfaces: {{wan0: {{}}}}\n{rest}\n", "s.yaml"), routed)


@pytest.mark.parametrize("path", _EXAMPLES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_no_example_is_warned_of(path: Path) -> None:
    site = load(path)
    assert warnings(site, site.proxy.families) == []


@pytest.mark.parametrize(
    ("rest", "lines"),
    [
        (
            f"{_TCP}\nbypass: {{to: [10.0.0.0/8, 0.0.0.0/0]}}",
            ["4:27: bypass.to[1]: leaves alone all of IPv4 that would be intercepted"],
        ),
        (
            f"{_TCP}\nbypass: {{to: [0.0.0.0/1, 128.0.0.0/1]}}",
            ["4:10: bypass.to: leaves alone all of IPv4 that would be intercepted"],
        ),
        (
            f"{_TCP_BOTH}\nbypass: {{from: ['::/0']}}",
            ["4:17: bypass.from[0]: leaves alone all of IPv6 that would be intercepted"],
        ),
        (
            f"{_TCP}\nintercept: {{ports: [80, 443, 800-810]}}\nbypass: {{ports: [800-900, 443]}}",
            [
                "4:25: intercept.ports[1]: 443 is within bypass.ports",
                "4:30: intercept.ports[2]: 800-810 is within bypass.ports",
            ],
        ),
        (
            f"{_TCP}\nintercept: {{ports: [443]}}\nbypass: {{ports: [443]}}",
            [
                "4:21: intercept.ports[0]: 443 is within bypass.ports",
                "5:10: bypass.ports: leaves alone every port that is intercepted",
            ],
        ),
        (
            f"{_TCP}\nbypass: {{ports: [1-1000, 1001-65535]}}",
            ["4:10: bypass.ports: leaves alone every port that is intercepted"],
        ),
        (
            f"{_TCP}\nintercept: {{to: ['::/0']}}",
            [
                "3:9: proxy.tcp: gets nothing, as intercept.to names no IPv4 network",
                "4:18: intercept.to[0]: ::/0 does nothing, as proxy has no listener for IPv6",
            ],
        ),
        (
            f"{_TCP_BOTH}\nintercept: {{from: [10.0.0.0/8]}}",
            ["3:21: proxy.tcp6: gets nothing, as intercept.from names no IPv6 network"],
        ),
        (
            f"{_TCP}\nintercept: {{to: [10.1.0.0/16, 192.0.2.0/24]}}\nbypass: {{to: [10.0.0.0/8]}}",
            ["4:18: intercept.to[0]: 10.1.0.0/16 is within bypass.to"],
        ),
        (
            f"{_TCP}\nintercept: {{protocols: [tcp, udp]}}",
            ["4:30: intercept.protocols[1]: udp does nothing, as proxy has no listener for it"],
        ),
        (
            f"{_TCP}\nrules:\n- {{mark: intercept, table: 100, priority: 5}}\n- {_CUT_OFF}",
            ["6:3: rules[1]: sends what carries the bypass mark to this host (table 100 has local"],
        ),
        (
            f"{_TCP}\nroute_tables: {{100: [{{to: 10.0.0.0/8}}]}}",
            ["4:16: route_tables.100: has no route for some of what is intercepted over IPv4"],
        ),
        (
            "proxy: {udp: {port: 9040}}\nfastpath: {enabled: true}",
            ["4:12: fastpath.enabled: does nothing, as proxy has no listener for tcp"],
        ),
        (
            f"{_TCP}\nintercept: {{ports: [80]}}\nfastpath: {{enabled: true, ports: [443]}}",
            ["5:27: fastpath.ports: does nothing, as none of these ports is intercepted"],
        ),
    ],
)
def test_what_does_nothing_or_harm_is_named_with_its_place(rest: str, lines: list[str]) -> None:
    said = list(map(str, _warnings(rest)))
    assert len(said) == len(lines)
    assert all(one.startswith(f"s.yaml:{line}") for one, line in zip(said, lines, strict=True))


@pytest.mark.parametrize(
    "rest",
    [
        f"{_TCP}\nbypass: {{to: [0.0.0.0/1, 128.0.0.0/2]}}",
        f"{_TCP}\nbypass: {{to: ['::/0']}}",
        f"{_TCP}\nintercept: {{ports: [80, 443]}}\nbypass: {{ports: [443-500]}}".replace(
            ", 443]", "]"
        ),
        f"{_TCP}\nroute_tables: {{7: [{{to: 0.0.0.0/1}}, {{to: 128.0.0.0/1}}]}}",
        f"{_TCP}\nroute_tables: {{7: [{{to: 10.0.0.0/8}}]}}\nintercept: {{to: [10.9.0.0/16]}}",
        f"{_TCP}\nroute_tables: {{7: [{{to: 0.0.0.0/1}}]}}\nbypass: {{to: [128.0.0.0/1]}}",
        f"{_TCP}\nfastpath: {{enabled: true, ports: [443, 444]}}\nbypass: {{ports: [444]}}",
    ],
)
def test_what_does_something_is_not_warned_of(rest: str) -> None:
    assert _warnings(rest) == []


@pytest.mark.parametrize(
    ("rest", "missing"),
    [
        (_TCP, "no tcp6"),
        ("proxy: {tcp6: {port: 1}, udp6: {port: 1}}", "no tcp and no udp"),
        ("proxy: {tcp: {port: 1}, udp: {port: 1}, tcp6: {port: 1}}", "no udp6"),
        (f"{_TCP}\nintercept: {{to: [0.0.0.0/0]}}", "no tcp6"),
    ],
)
def test_a_host_that_reaches_others_over_both_families_needs_listeners_of_both(
    rest: str, missing: str
) -> None:
    (warning,) = _warnings(rest, _BOTH)
    assert (warning.code, warning.path) == ("goes-direct", "proxy")
    assert f"has {missing}, and this host has a default route" in warning.message
    assert _warnings(rest) == []


@pytest.mark.parametrize(
    ("rest", "routed"),
    [
        (_TCP, frozenset({AF_INET})),
        (_TCP_BOTH, _BOTH),
        (f"{_TCP}\nintercept: {{to: [10.0.0.0/8]}}", _BOTH),  # not about every destination
        (f"{_TCP_BOTH}\nintercept: {{protocols: [tcp]}}", _BOTH),
    ],
)
def test_a_host_whose_families_are_served_is_not_warned_of(
    rest: str, routed: frozenset[int]
) -> None:
    assert _warnings(rest, routed) == []


_EIGHTHS = [
    str(network)
    for length in range(4)
    for network in ipaddress.ip_network("0.0.0.0/0").subnets(prefixlen_diff=length)
]
_SAMPLES = [ipaddress.ip_network(text) for text in _EIGHTHS if text.endswith("/3")]
_SOME = st.lists(st.sampled_from(_EIGHTHS), min_size=1, max_size=5, unique=True)


def _within(sample: ipaddress.IPv4Network | ipaddress.IPv6Network, networks: list[str]) -> bool:
    return any(sample.subnet_of(ipaddress.ip_network(text)) for text in networks)  # type: ignore[arg-type]


@given(_SOME, _SOME, st.sampled_from(["from", "to"]))
def test_nothing_is_said_to_be_left_exactly_when_nothing_is(
    wanted: list[str], bypassed: list[str], key: str
) -> None:
    left = [one for one in _SAMPLES if _within(one, wanted) and not _within(one, bypassed)]
    rest = f"{_TCP}\nintercept: {{{key}: {wanted}}}\nbypass: {{{key}: {bypassed}}}"
    codes = [warning.code for warning in _warnings(rest)]
    assert ("nothing-intercepted" in codes) == (not left)


@given(_SOME, _SOME)
def test_an_address_set_holds_what_ipaddress_says(members: list[str], others: list[str]) -> None:
    held = AddressSet(prefixes(map(parse_network, members)))
    for text in others:
        network = ipaddress.ip_network(text)
        expected = all(_within(one, members) for one in _SAMPLES if one.subnet_of(network))  # type: ignore[arg-type]
        assert held.holds_all(prefixes([parse_network(text)])) == expected
