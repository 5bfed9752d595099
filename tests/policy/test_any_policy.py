"""Random policies and packets, against a model of the rules in Python."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from netplan_tproxy.site.model import Mark, Policy, Prefix
from tests.lab.budget import examples
from tests.policy.probes import SOURCES, Probe
from tests.policy.support import networks

if TYPE_CHECKING:
    from tests.policy.support import PolicyHost

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

# Few enough that policies and packets meet, and each other's neighbours.
ADDRESSES = (
    "20.0.0.0", "20.0.0.1", "20.0.1.1", "20.127.255.255", "20.128.0.0", "20.255.255.255",
    "2001:db8::", "2001:db8::1", "2001:db8:0:1::1", "2001:db8:8000::",
    "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
)  # fmt: skip
NETWORKS = (
    "20.0.0.0/8", "20.0.0.0/9", "20.128.0.0/9", "20.0.0.0/31", "20.0.0.1/32", "20.0.1.0/24",
    "20.255.255.255/32", "0.0.0.0/0", "::/0", "2001:db8::/33", "2001:db8:8000::/33",
    "2001:db8::/64", "2001:db8::1/128", "2001:db8::/127", "2000::/3",
)  # fmt: skip
FROM = (*(f"{source}" for pair in SOURCES.values() for source in pair), "10.77.0.0/24", "fd00::/8")
PORTS = (1, 79, 80, 81, 443, 1023, 1024, 65534, 65535)
USERS = {"daemon": 1, "0": 0, "12345": 12345}
MARKS = (Mark(0x10, 0x10), Mark(0x30, 0x70), Mark(0x800, 0x900))

ports = st.tuples(st.sampled_from(PORTS), st.sampled_from(PORTS)).map(lambda p: (min(p), max(p)))
ranges = st.lists(ports, min_size=1, max_size=3).map(tuple)


def some(of: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(of), min_size=1, max_size=4, unique=True).map(tuple)


def prefixes(of: tuple[str, ...]) -> st.SearchStrategy[tuple[Prefix, ...]]:
    return some(of).map(lambda texts: networks(*texts))


def perhaps(empty: object, strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.just(empty) | strategy


policies = st.builds(
    Policy,
    intercept_from=perhaps(None, prefixes(FROM)),
    intercept_to=perhaps(None, prefixes(NETWORKS)),
    intercept_ports=perhaps(None, ranges),
    protocols=perhaps(None, some(("tcp", "udp"))),
    bypass_from=perhaps((), prefixes(FROM)),
    bypass_to=perhaps((), prefixes(NETWORKS)),
    bypass_ports=perhaps((), ranges),
    bypass_users=perhaps((), some(tuple(USERS))),
    bypass_marks=perhaps((), st.lists(st.sampled_from(MARKS), unique=True).map(tuple)),
)
packets = st.builds(
    Probe,
    way=st.sampled_from(("output", "forward")),
    kind=st.sampled_from(("tcp", "udp")),
    to=st.sampled_from(ADDRESSES),
    port=st.sampled_from(PORTS),
    source=st.sampled_from((0, 1)),
    user=st.sampled_from((0, 1, 2, 12345)),
    # Not the intercept mark: that is routed to lo before the programs see it.
    mark=st.sampled_from((0, 0x10, 0x30, 0x70, 0x800, 0x900, 0x82)),
)


def within(address: str, prefixes: tuple[Prefix, ...]) -> bool:
    """An IPv6 network, ``::/0`` too, holds no IPv4 address."""
    found = ipaddress.ip_address(address)
    bits = int(found) if found.version == 6 else 0xFFFF << 32 | int(found)
    return any(
        bits >> (128 - length) == int.from_bytes(start) >> (128 - length)
        and (length < 96) <= (found.version == 6)
        for length, start in prefixes
    )


def among(port: int, ports: tuple[tuple[int, int], ...]) -> bool:
    return any(low <= port <= high for low, high in ports)


def expected(policy: Policy, packet: Probe) -> str:
    """The first of the rules that applies, in the order in which they are asked."""
    own = packet.way == "output"
    mark = packet.mark if own else 0
    named = (
        policy.intercept_from is None or within(packet.source_address, policy.intercept_from),
        policy.intercept_to is None or within(packet.to, policy.intercept_to),
        policy.intercept_ports is None or among(packet.port, policy.intercept_ports),
    )
    users = {USERS[name] for name in policy.bypass_users} if own else set()
    rules = {
        "no_proxy": packet.kind not in (policy.protocols or ("tcp", "udp")),
        "bypass_mark": any(
            mark & known.mask == known.value for known in (Mark(2, 2), *policy.bypass_marks)
        ),
        "not_named": not all(named),
        "bypass_from": within(packet.source_address, policy.bypass_from),
        "bypass_to": within(packet.to, policy.bypass_to),
        "bypass_port": among(packet.port, policy.bypass_ports),
        "bypass_user": packet.user in users,
        "intercepted": True,
    }
    return next(name for name, applies in rules.items() if applies)


# Shrinking would go on for minutes; a packet and a policy say enough.
@pytest.mark.slow
@settings(max_examples=examples(40), database=None, phases=[Phase.generate])
@given(policies, st.lists(packets, min_size=12, max_size=12))
def test_any_packet_fares_as_the_rules_of_any_policy_say(
    shared_host: PolicyHost, policy: Policy, probes: list[Probe]
) -> None:
    shared_host.applied(policy)
    for probe in probes:
        assert shared_host.outcome(probe) == expected(policy, probe)
