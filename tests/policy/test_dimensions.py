"""Every dimension of the policy alone: what it names is intercepted, or bypassed, as counted."""

from __future__ import annotations

import dataclasses

import pytest

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.kernel.bpf.programs import load_program
from netplan_tproxy.kernel.netlink.tc import CLSACT_INGRESS, FilterRecord
from netplan_tproxy.site.model import Mark, Policy
from tests.lab.cgroups import cgroup
from tests.policy.probes import SOURCES, Probe, marker
from tests.policy.support import PolicyHost, networks

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

WAYS = [(way, kind, version) for way in ("output", "forward") for kind in ("tcp", "udp")
        for version in (4, 6)]  # fmt: skip
IN = {4: "20.1.2.3", 6: "2001:db8:1::3"}
OUT = {4: "20.2.2.3", 6: "2001:db8:2::3"}
TO = networks("20.1.0.0/16", "2001:db8:1::/48")
SECOND = networks(*(f"{pair[1]}" for pair in SOURCES.values()))

# A policy, what a probe that it names has, what one that it does not name has, and the
# outcomes of the two.
CASES: dict[str, tuple[Policy, dict[str, object], dict[str, object], str, str]] = {
    "intercept.from": (
        Policy(intercept_from=SECOND), {"source": 1}, {"source": 0}, "intercepted", "not_named",
    ),
    "intercept.to": (Policy(intercept_to=TO), {"to": IN}, {"to": OUT}, "intercepted", "not_named"),
    "intercept.ports": (
        Policy(intercept_ports=((80, 80), (8000, 8999))), {"port": 8999}, {"port": 9000},
        "intercepted", "not_named",
    ),
    "bypass.from": (
        Policy(bypass_from=SECOND), {"source": 1}, {"source": 0}, "bypass_from", "intercepted",
    ),
    "bypass.to": (Policy(bypass_to=TO), {"to": IN}, {"to": OUT}, "bypass_to", "intercepted"),
    "bypass.ports": (
        Policy(bypass_ports=((53, 53), (1024, 65535))), {"port": 1024}, {"port": 1023},
        "bypass_port", "intercepted",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_dimension_decides_for_either_protocol_and_family_both_ways(
    host: PolicyHost, name: str
) -> None:
    policy, named, other, when_named, when_not = CASES[name]
    host.applied(policy)
    for way, kind, version in WAYS:
        probe = Probe(way, kind, OUT[version])
        for has, expected in ((named, when_named), (other, when_not)):
            values = {key: value[version] if isinstance(value, dict) else value
                      for key, value in has.items()}  # fmt: skip
            assert host.outcome(dataclasses.replace(probe, **values)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("named", ["tcp", "udp"])
def test_only_the_protocols_that_are_named_are_intercepted(host: PolicyHost, named: str) -> None:
    host.applied(Policy(protocols=(named,)))
    for way, kind, version in WAYS:
        expected = "intercepted" if kind == named else "no_proxy"
        assert host.outcome(Probe(way, kind, OUT[version])) == expected


def test_users_are_bypassed_by_name_and_by_number_where_they_have_sockets_here(
    host: PolicyHost,
) -> None:
    host.applied(Policy(bypass_users=("daemon", "4294967294")))
    for way, kind, version in WAYS:
        for user, found in ((1, "bypass_user"), (2**32 - 2, "bypass_user"), (2, "intercepted")):
            probe = Probe(way, kind, OUT[version], user=user)
            assert host.outcome(probe) == (found if way == "output" else "intercepted")


def test_a_cgroup_is_bypassed_with_all_below_it_and_nothing_beside_it(host: PolicyHost) -> None:
    with (
        cgroup("whole") as whole,
        cgroup("whole/named") as named,
        cgroup("whole/named/below") as below,
        cgroup("whole/named/below/it") as far_below,
        cgroup("whole/beside") as beside,
    ):
        host.applied(Policy(bypass_cgroups=(named,)))
        for way, kind, version in WAYS:
            for path in (named, below, far_below, whole, beside):
                probe = Probe(way, kind, OUT[version], cgroup=path)
                bypassed = way == "output" and path.startswith(named)
                assert host.outcome(probe) == ("bypass_cgroup" if bypassed else "intercepted")


def test_marks_are_bypassed_by_their_masked_bits(host: PolicyHost) -> None:
    host.applied(Policy(bypass_marks=(Mark(0x50, 0xF0), Mark(0x80000000, 0x80000000))))
    for _, kind, version in WAYS[:4]:
        for mark in (0x2, 0x50, 0x1F5C, 0x80000000, 0x40, 0x70, 0x4, 0x08000000):
            bypassed = mark & 2 or mark & 0xF0 == 0x50 or mark >> 31
            probe = Probe("output", kind, OUT[version], mark=mark)
            assert host.outcome(probe) == ("bypass_mark" if bypassed else "intercepted")


@pytest.mark.parametrize("mark", [0x50, 0x60])
def test_a_mark_that_an_earlier_filter_puts_on_forwarded_packets_counts_too(
    host: PolicyHost, mark: int
) -> None:
    host.applied(Policy(bypass_marks=(Mark(0x50, 0xF0),)))
    record = FilterRecord(CLSACT_INGRESS, 10, 1, "bpf", "marker", 0)
    with host.lab.host.entered(), Kernel() as kernel:
        number = kernel.links()["lan0"].ifindex
        program = load_program(
            name="marker", prog_type=3, insns=marker(mark), license="GPL", relocs=(), maps={}
        )
        with program as fd:
            kernel.netlink.put_filter(number, record, int(fd))
        try:
            for way, kind, version in WAYS[4:]:
                found = host.outcome(Probe(way, kind, OUT[version]))
                assert found == ("bypass_mark" if mark == 0x50 else "intercepted")
        finally:
            kernel.netlink.del_filter(number, record)
