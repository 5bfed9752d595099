"""``--adopt``: what is in the way is taken over, and put back when ours goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.errors import KernelError
from tests.lab import diff_snapshots
from tests.lab.foreign import put_other_program
from tests.lab.host import SITE, STATE, Host, unchanged
from tests.lab.sabotage import die, in_a_child_that_dies, raising, sabotaged
from tests.transactions.test_conflict import CONFLICTS, put

if TYPE_CHECKING:
    from tests.lab import Snapshot

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

ROUTES = {
    "a blackhole": "ip route add blackhole default table 100",
    "one through a gateway": "ip route add default via 10.77.0.1 dev wan0 table 100",
    "one on a link without the gateway's network": (
        "ip route add default via 192.0.2.1 dev wan0 onlink table 100"
    ),
    "one with two next hops": (
        "ip route add default table 100 nexthop via 10.77.0.1 dev wan0 weight 3 "
        "nexthop via 10.77.0.9 dev wan0"
    ),
    "one with an mtu": "ip route add local default dev lo mtu 1400 table 100 proto 7",
}


@pytest.fixture(params=[*ROUTES, "a program of somebody's"])
def theirs(request: pytest.FixtureRequest, host: Host) -> Snapshot:
    """Something foreign at a key of ours."""
    if request.param in ROUTES:
        host.sh(ROUTES[request.param])
    else:
        host.sh("tc qdisc add dev wan0 clsact")
        put_other_program(host, "theirs")
    return host.look()


def test_it_is_refused_by_name_without_adopt(host: Host, theirs: Snapshot) -> None:
    with unchanged(host.stare):
        assert host.apply().code == 6
    assert diff_snapshots(theirs, host.look()) == []


def test_it_is_taken_over_and_put_back_on_destroy(host: Host, theirs: Snapshot) -> None:
    assert host.apply("--adopt").code == 0
    assert host.applied().changes == []
    host.write(SITE.replace("9040", "9041"))
    host.applied()
    host.destroyed()
    assert diff_snapshots(theirs, host.look()) == []
    assert not STATE.exists()


def test_it_is_put_back_by_a_run_in_another_process(host: Host, theirs: Snapshot) -> None:
    assert host.spawn(str(host.site), "--adopt").code == 0
    assert host.spawn("--destroy").code == 0
    assert diff_snapshots(theirs, host.look()) == []


def test_a_failure_after_taking_it_over_puts_it_back(
    host: Host, theirs: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sabotaged(monkeypatch, raising(KernelError("no")), 20, done=True):
        assert host.apply("--adopt").code == 3
    assert diff_snapshots(theirs, host.look()) == []


def test_killed_after_taking_it_over_it_comes_back_with_destroy(
    host: Host, theirs: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> None:
        with sabotaged(monkeypatch, die, 20, done=True):
            host.apply("--adopt")

    in_a_child_that_dies(run)
    host.destroyed()
    assert diff_snapshots(theirs, host.look()) == []


@pytest.mark.parametrize("name", ["an ingress qdisc", "a filter of another protocol at our prio"])
def test_what_could_not_be_put_back_is_not_taken_over(host: Host, name: str) -> None:
    put(host, CONFLICTS[name][0])
    with unchanged(host.stare):
        done = host.apply("--adopt")
    assert done.code == 6
    assert "could not be put back: it is not taken over; nothing was touched" in done.err


CHAIN = "tc filter add dev wan0 egress prio 20 handle 0x79 chain 5 protocol {} bpf da bytecode"
IN_CHAINS = {
    "at our prio and handle": CHAIN.format("all"),
    "of another protocol": CHAIN.format("ip"),
    "a program that could be taken over": "",
}


@pytest.mark.parametrize("options", [(), ("--adopt",)])
@pytest.mark.parametrize("name", IN_CHAINS)
def test_a_filter_of_another_chain_is_not_in_the_way_and_stays_there(
    host: Host, name: str, options: tuple[str, ...]
) -> None:
    """A chain has a place for each prio and handle; ours are in chain 0, where packets begin."""
    host.sh("tc qdisc add dev wan0 clsact")
    if IN_CHAINS[name]:
        put(host, [IN_CHAINS[name]])
    else:
        put_other_program(host, "theirs", chain=5)
    theirs = host.look()
    assert any("chain 5" in line for line in theirs["filters"])
    assert host.apply(*options).code == 0
    assert host.applied().out[-1] == "no changes"
    chains = [line for line in host.look()["filters"] if "wan0 egress" in line and "0x79" in line]
    assert any("chain 0" in line for line in chains)
    host.destroyed()
    assert diff_snapshots(theirs, host.look()) == []
