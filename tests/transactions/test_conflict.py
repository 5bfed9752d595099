"""What is somebody else's and in the way: refused, named, nothing touched."""

from __future__ import annotations

import pytest

from netplan_tproxy.datapath.filter_names import HANDLE, PRIO
from tests.lab.host import STATE, Host, unchanged

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

BYTECODE = "1,6 0 0 4294967295,"
EGRESS = f"tc filter add dev wan0 egress prio {PRIO}"

CONFLICTS: dict[str, tuple[list[str], str]] = {
    "another route": (
        ["ip route add blackhole default table 100"],
        "route default table 100: is already there as blackhole, and not ours",
    ),
    "a route with more": (
        ["ip route add default via 10.77.0.1 dev wan0 table 100"],
        "route default table 100: is already there as unicast via 10.77.0.1 dev wan0, and not ours",
    ),
    "an ingress qdisc": (
        ["tc qdisc add dev wan0 ingress"],
        "qdisc at the ingress of wan0: is already there as ingress, and not ours",
    ),
    "a filter at our prio and handle": (
        ["tc qdisc add dev wan0 clsact", f"{EGRESS} handle {HANDLE:#x} protocol all bpf bytecode"],
        "filter wan0 egress: is already there as bpf, and not ours",
    ),
    "a filter of another protocol at our prio": (
        ["tc qdisc add dev wan0 clsact", f"{EGRESS} handle 1 protocol ip bpf bytecode"],
        "filter wan0 egress: is already there as bpf, and not ours",
    ),
}


def put(host: Host, lines: list[str]) -> None:
    for line in lines:
        more = [BYTECODE] if line.endswith("bytecode") else []
        host.namespace.run([*line.split(), *more])


@pytest.mark.parametrize("name", CONFLICTS)
def test_a_foreign_object_in_the_way_is_named_and_left_alone(host: Host, name: str) -> None:
    lines, message = CONFLICTS[name]
    put(host, lines)
    for options in ([], ["--dry-run"], ["--check"]):
        with unchanged(host.stare):
            done = host.apply(*options)
        assert done == (6, [], f"tproxy-apply: {message}; nothing was touched\n")
    assert not STATE.exists()


def test_all_that_is_in_the_way_is_named_at_once(host: Host) -> None:
    put(host, ["ip route add blackhole default table 100", "tc qdisc add dev wan0 ingress"])
    done = host.apply()
    assert done.code == 6
    assert {line.split(":")[1] for line in done.err.splitlines()} == {
        " qdisc at the ingress of wan0",
        " route default table 100",
    }


@pytest.mark.parametrize(
    "lines",
    [
        ["tc qdisc del dev wan0 clsact", "tc qdisc add dev wan0 ingress"],
        ["tc filter del dev wan0 egress", f"{EGRESS} handle {HANDLE:#x} protocol all bpf bytecode"],
    ],
)
def test_what_cannot_be_brought_back_is_not_taken_away_although_ours_was_there(
    host: Host, lines: list[str]
) -> None:
    host.applied()
    put(host, lines)
    with unchanged(host.stare):
        assert host.apply().code == 6
    host.sh(
        "tc qdisc del dev wan0 ingress"
        if "ingress" in lines[1]
        else "tc filter del dev wan0 egress"
    )
    host.applied()
