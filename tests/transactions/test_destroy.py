"""After --destroy the namespace is exactly as it was before the first apply."""

from __future__ import annotations

import pytest

from netplan_tproxy.datapath.filter_names import PRIO
from tests.lab import diff_snapshots
from tests.lab.host import SITE, STATE, Host, unchanged

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

BPF = ("bpf", "bytecode", "1,6 0 0 4294967295,")
RULE = "ip rule add fwmark 0x1/0x1 lookup 100 priority 1000"
ROUTE = "ip route add local default dev lo table 100"

BEFORE: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "nothing": ((), []),
    "the sysctl right already": (
        ("sysctl -qw net.ipv4.conf.lo.accept_local=1",),
        ["= sysctl net.ipv4.conf.lo.accept_local: already there (not ours)"],
    ),
    "clsact": (
        ("tc qdisc add dev wan0 clsact",),
        ["= qdisc at the ingress of wan0: already there (not ours)"],
    ),
    "the same rule": ((RULE,), ["= rule 1000: already there (not ours)"]),
    "the same rule without priority": (
        ("ip rule add fwmark 0x1/0x1 lookup 100",),
        ["= rule 32765: already there (not ours)"],
    ),
    "the same route": ((ROUTE,), ["= route default table 100: already there (not ours)"]),
    "all of it": (
        (RULE, ROUTE, "sysctl -qw net.ipv4.conf.lo.accept_local=1"),
        [
            "= route default table 100: already there (not ours)",
            "= rule 1000: already there (not ours)",
            "= sysctl net.ipv4.conf.lo.accept_local: already there (not ours)",
        ],
    ),
    "other rules": (
        (
            "ip rule add fwmark 0x1/0x1 lookup 101 priority 1000",
            "ip rule add fwmark 0x1/0x1 iif lo lookup 100 priority 1000",
            "ip rule add fwmark 0x1/0xff lookup 100 priority 1000",
        ),
        [],
    ),
    "other routes": (
        (
            "ip route add default via 10.77.0.1 table 100 metric 7",
            "ip route add local 192.0.2.0/24 dev lo table 100",
            "ip route add local default dev lo table 101",
        ),
        [],
    ),
}


@pytest.mark.parametrize("name", BEFORE)
def test_destroy_leaves_what_was_there_before(host: Host, name: str) -> None:
    typed, said = BEFORE[name]
    host.sh(*typed)
    before = host.look()
    done = host.applied()
    assert sorted(line for line in done.out if line.startswith("= ")) == said
    assert host.applied().out[-1] == "no changes"
    host.destroyed()
    assert diff_snapshots(before, host.look()) == []
    assert not STATE.exists()


@pytest.mark.parametrize("place", [f"prio {PRIO} handle 7", "prio 1 handle 1", "prio 49152"])
def test_foreign_filters_beside_ours_stay(host: Host, place: str) -> None:
    host.sh("tc qdisc add dev wan0 clsact")
    for hook in ("ingress", "egress"):
        add = f"tc filter add dev wan0 {hook} {place} protocol all"
        host.namespace.run([*add.split(), *BPF])
    before = host.look()
    host.applied()
    host.destroyed()
    assert diff_snapshots(before, host.look()) == []


def test_our_clsact_stays_as_long_as_others_use_it(host: Host) -> None:
    host.applied()
    host.namespace.run(["tc", "filter", "add", "dev", "wan0", "egress", "prio", "5", *BPF])
    kept = "= qdisc at the ingress of wan0: left as it is: carries filters of others"
    assert kept in host.destroyed().out
    after = host.look()
    assert len(after["filters"]) == 1 + sum("pref 5" in line for line in after["filters"][1:])
    assert "qdisc clsact ffff: dev wan0 parent ffff:fff1" in after["qdiscs"]


def test_the_same_rule_typed_by_hand_later_stays(host: Host) -> None:
    host.applied()
    host.sh(RULE)
    assert host.applied().out == ["no changes"]
    host.destroyed()
    assert "1000: from all fwmark 0x1/0x1 lookup 100 proto unspec" in host.look()["rules4"]


def test_the_same_rule_and_route_typed_by_hand_in_place_of_ours_stay(host: Host) -> None:
    host.applied()
    host.sh("ip rule del priority 1000", RULE, ROUTE.replace("add", "replace"))
    done = host.applied()
    assert "= rule 1000: already there (not ours)" in done.out
    assert "= route default table 100: already there (not ours)" in done.out
    assert done.out[-1] == "no changes"
    host.destroyed()
    after = host.look()
    assert "1000: from all fwmark 0x1/0x1 lookup 100 proto unspec" in after["rules4"]
    assert "local default dev lo table 100 proto boot scope host" in after["routes4"]


def test_a_sysctl_changed_by_somebody_since_is_left_to_them(host: Host) -> None:
    host.write(SITE + "sysctls: {net.ipv4.conf.wan0.rp_filter: 2}\n")
    host.applied()
    host.sh("sysctl -qw net.ipv4.conf.wan0.rp_filter=1")
    done = host.destroyed()
    name = "sysctl net.ipv4.conf.wan0.rp_filter"
    said = " ".join(" ".join(done.out).split())
    assert f"= {name}: left as it is: changed by somebody else since" in said
    assert host.namespace.sysctl("net.ipv4.conf.wan0.rp_filter") == "1"


def test_a_sysctl_set_back_by_somebody_is_nobodys_business(host: Host) -> None:
    before = host.look()
    host.applied()
    host.sh("sysctl -qw net.ipv4.conf.lo.accept_local=0")
    assert not [line for line in host.destroyed().out if "sysctl" in line]
    assert diff_snapshots(before, host.look()) == []


def test_a_sysctl_goes_back_to_its_first_value_after_many_applies(host: Host) -> None:
    before = host.look()
    for value in (64, 33, 65, 34):
        host.write(SITE + f"sysctls: {{net.ipv4.ip_default_ttl: {value}}}\n")
        host.applied()
        assert host.namespace.sysctl("net.ipv4.ip_default_ttl") == str(value)
    host.destroyed()
    assert diff_snapshots(before, host.look()) == []


def test_destroying_twice_is_once(host: Host) -> None:
    host.applied()
    host.destroyed()
    with unchanged(host.stare):
        assert host.destroyed().out == ["no changes"]


def test_destroying_what_was_never_applied_does_nothing(host: Host) -> None:
    with unchanged(host.stare):
        assert host.destroyed().out == ["no changes"]
    assert not STATE.exists()


@pytest.mark.parametrize("site", [None, "", "version: 1\n", "{{{", "\0"])
def test_destroy_needs_no_site_file(host: Host, site: str | None) -> None:
    before = host.look()
    host.applied()
    if site is None:
        host.site.unlink()
    else:
        host.write(site)
    with unchanged(host.stare_at_times):
        assert host.apply().code == 65
    assert host.run("--destroy", str(host.site)).code == 0
    assert diff_snapshots(before, host.look()) == []
    assert not STATE.exists()


def test_an_interface_that_is_gone_does_not_keep_destroy_from_the_rest(host: Host) -> None:
    host.sh("ip link add wan7 type veth peer name wan8")
    host.sh("ip link del wan7")
    before = host.look()
    host.sh("ip link add wan7 type veth peer name wan8")
    host.write(SITE.replace("wan0: {}", "wan0: {}\n  wan7: {}"))
    host.applied()
    host.sh("ip link del wan7")
    host.destroyed()
    assert diff_snapshots(before, host.look()) == []
