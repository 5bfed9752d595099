"""The world changes in the middle of a run, or between two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab import diff_snapshots
from tests.lab.host import CHANGES, STATE, Host
from tests.lab.sabotage import sabotaged

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

ROUTE = 1  # the number of the route among the changes of the first apply


def typing(host: Host, *lines: str) -> Callable[[], None]:
    def type_them() -> None:
        host.sh(*lines)

    return type_them


@pytest.mark.parametrize("step", [0, CHANGES - 6, CHANGES - 2, CHANGES - 1])
def test_an_interface_that_goes_in_the_middle_of_a_run_takes_nothing_along(
    host: Host, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    gone = typing(host, "ip link del wan0")
    with sabotaged(monkeypatch, gone, step):
        done = host.apply()
    assert done.code == 3
    assert done.err.endswith("; everything was put back\n")
    assert not STATE.exists()
    assert not host.pins.exists()
    left = host.look()
    assert left["filters"] == []
    assert not [line for line in left["rules4"] if "0x1" in line]
    assert host.namespace.sysctl("net.ipv4.conf.lo.accept_local") == "0"


def test_an_interface_that_goes_in_the_middle_of_a_destroy_does_not_keep_it_from_the_rest(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.applied()
    with sabotaged(monkeypatch, typing(host, "ip link del wan0"), 0):
        assert host.run("--destroy").code == 0
    assert not STATE.exists()
    assert not host.pins.exists()


def test_a_route_that_somebody_adds_meanwhile_stays_theirs(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = "ip route add blackhole default table 100"
    with sabotaged(monkeypatch, typing(host, theirs), ROUTE):
        done = host.apply()
    assert done.code == 3
    assert "File exists" in done.err
    assert not STATE.exists()
    assert host.sh("ip route show table 100").startswith("blackhole default")


def test_a_device_that_got_the_number_of_a_lost_one_is_not_touched(host: Host) -> None:
    host.applied()
    number = host.sh("ip -o link show wan0").split(":")[0]
    host.sh("ip link del wan0")
    host.sh(
        f"ip link add other0 index {number} type veth peer name other1",
        "tc qdisc add dev other0 clsact",
    )
    theirs = host.sh("tc qdisc show dev other0")
    done = host.apply()
    assert done.code == 1
    assert "no such interface here" in done.err
    host.destroyed()
    assert host.sh("tc qdisc show dev other0") == theirs
    assert host.sh("tc filter show dev other0 egress") == ""
    assert not STATE.exists()


def test_an_interface_that_returns_is_set_up_and_the_other_objects_are_kept(host: Host) -> None:
    host.applied()
    complete = host.look()
    host.sh("ip link set wan0 name away0")
    assert host.apply().code == 1
    host.sh("ip link set away0 name wan0")
    assert host.applied().out[-1] == "no changes"
    assert diff_snapshots(complete, host.look()) == []


def test_other_namespaces_other_pins_and_other_rules_are_never_touched(host: Host) -> None:
    host.sh(
        "ip rule add prio 999 fwmark 0x1/0x1 lookup 99",
        "ip rule add prio 1000 fwmark 0x1/0x1 lookup 98",
        "ip route add 192.0.2.0/24 dev wan0 table 100",
        "ip -6 rule add prio 1000 fwmark 0x1/0x1 lookup 100",
    )
    foreign = host.pins.parent / "somebody"
    foreign.mkdir(parents=True)
    before = host.look()
    try:
        host.applied()
        assert host.run("--check", str(host.site)).is_as_the_file_says
        host.destroyed()
        assert diff_snapshots(before, host.look()) == []
    finally:
        foreign.rmdir()
        foreign.parent.rmdir()
