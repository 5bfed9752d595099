"""Whoever reads a list of the kernel's is told of each change of it, on the real kernel."""

from __future__ import annotations

import shlex

import pytest

from netplan_tproxy.kernel.netlink.watch import Watch
from tests.lab import Lab

pytestmark = pytest.mark.lab

GETLINK, GETADDR, GETROUTE, GETNEIGH, GETRULE, GETQDISC, GETFILTER = 18, 22, 26, 30, 34, 38, 46
CHANGES = {
    "a link": (GETLINK, "ip link add w2 type veth peer w3"),
    "an address": (GETADDR, "ip addr add 192.0.2.9/32 dev lo"),
    "an IPv6 address": (GETADDR, "ip -6 addr add 2001:db8::9/128 dev lo nodad"),
    "a route": (GETROUTE, "ip route add 192.0.2.9/32 dev lo table 77"),
    "an IPv6 route": (GETROUTE, "ip -6 route add 2001:db8::9/128 dev lo table 77"),
    "a neighbour": (GETNEIGH, "ip neigh add 198.51.100.9 lladdr 02:00:00:00:00:09 dev w0"),
    "a rule": (GETRULE, "ip rule add prio 77 lookup 77"),
    "an IPv6 rule": (GETRULE, "ip -6 rule add prio 77 lookup 77"),
    "a qdisc": (GETQDISC, "tc qdisc add dev w0 clsact"),
    "a filter": (GETFILTER, "tc filter add dev w1 ingress bpf bytecode '1,6 0 0 0'"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_told_to_whoever_reads_that_list_at_that_time(lab: Lab, what: str) -> None:
    kind, change = CHANGES[what]
    lab.host.run(["ip", "link", "add", "w0", "type", "veth", "peer", "w1"])
    lab.host.run(["ip", "link", "set", "w0", "up"])
    lab.host.run(["tc", "qdisc", "add", "dev", "w1", "clsact"])
    other = "ip link set w1 up" if kind == GETRULE else "ip rule add prio 76 lookup 76"
    with lab.host.entered(), Watch(kind) as watch:
        lab.host.run(other.split())
        assert not watch.changed(), "what changed is another list"
        lab.host.run(shlex.split(change))
        assert watch.changed()
    with lab.host.entered(), Watch(kind) as watch:
        assert not watch.changed(), "it is told of what was before"


def test_more_changes_than_the_buffer_holds_are_a_change(lab: Lab) -> None:
    with lab.host.entered(), Watch(GETRULE) as watch:
        lines = [f"rule add prio {1000 + n} lookup 77" for n in range(3000)]
        lab.host.run(["ip", "-batch", "-"], stdin="\n".join(lines) + "\n", timeout=60)
        assert watch.changed()
