"""Every kind of drift is shown by --dry-run and repaired by changing that object only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.datapath.filter_names import HANDLE, PRIO, filter_name
from netplan_tproxy.datapath.layouts import CONFIG
from netplan_tproxy.kernel.bpf.maps import delete, open_pinned, update
from tests.lab import diff_snapshots
from tests.lab.foreign import put_other_program
from tests.lab.host import Host

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

KEY = bytes(4)


def other_program_under_our_name(host: Host) -> None:
    put_other_program(host, filter_name(host.pin("programs", "wan_egress").name))


def other_program_under_its_own_name(host: Host) -> None:
    put_other_program(host, "theirs")


def config_entry_changed(host: Host) -> None:
    with open_pinned(str(host.pin("maps", "config"))) as fd:
        update(fd, KEY, bytes(CONFIG.value_size))


def config_entry_deleted(host: Host) -> None:
    with open_pinned(str(host.pin("maps", "config"))) as fd:
        assert delete(fd, KEY)


def unpin(what: str, name: str) -> Callable[[Host], None]:
    return lambda host: host.pin(what, name).unlink()


def typed(*lines: str) -> Callable[[Host], None]:
    return lambda host: void(host.sh(*lines))


def void(_: str) -> None:
    """Forget what a command printed."""


EGRESS = "filter wan0 egress"
DRIFTS: dict[str, tuple[Callable[[Host], None], list[str]]] = {
    "rule deleted": (typed("ip rule del priority 1000"), ["+ rule 1000"]),
    "sysctl flipped": (
        typed("sysctl -qw net.ipv4.conf.lo.accept_local=0"),
        ["~ sysctl net.ipv4.conf.lo.accept_local: 0 → 1"],
    ),
    "filter deleted": (typed("tc filter del dev wan0 egress"), [f"+ {EGRESS}"]),
    "filter replaced under our name": (
        other_program_under_our_name,
        [f"~ {EGRESS}: another program, id "],
    ),
    "filter replaced under another name": (
        other_program_under_its_own_name,
        [f"~ {EGRESS}: bpf theirs → wan_egress@"],
    ),
    "config changed": (
        config_entry_changed,
        ["~ config: mark 0x0/0x0 → tcp to 127.0.0.1:9040, mark 0x1/0x1"],
    ),
    "config deleted": (config_entry_deleted, ["+ config: tcp to 127.0.0.1:9040"]),
    "program unpinned": (
        unpin("programs", "wan_egress"),
        ["+ program wan_egress@", f"~ {EGRESS}: another program, id "],
    ),
    "route removed": (typed("ip route flush table 100"), ["+ route default table 100"]),
    "route changed": (
        typed("ip route replace blackhole default table 100"),
        ["~ route default table 100: blackhole → local dev lo"],
    ),
    "route given more": (
        typed("ip route replace default via 10.77.0.1 dev wan0 mtu 1400 table 100"),
        ["~ route default table 100: unicast via 10.77.0.1 dev wan0 mtu 1400 → local dev lo"],
    ),
    "qdisc removed": (
        typed("tc qdisc del dev wan0 clsact"),
        ["+ qdisc at the ingress of wan0", "+ filter wan0 ingress", f"+ {EGRESS}"],
    ),
    "map unpinned": (
        unpin("maps", "config"),
        [
            "+ map config@",
            "~ program wan_egress@",
            "~ program lo_ingress@",
            "~ filter lo ingress",
            "+ config",
            f"~ {EGRESS}",
        ],
    ),
}


@pytest.mark.parametrize("name", DRIFTS)
def test_drift_is_shown_and_repaired_and_nothing_else_is_touched(host: Host, name: str) -> None:
    drift, expected = DRIFTS[name]
    host.applied()
    good, ids = host.look(), host.stare()["pins"]
    drift(host)
    brief, shown = host.apply("--dry-run"), host.apply("--dry-run", "-v")
    assert len(shown.changes) == len(expected)
    for line, start in zip(sorted(shown.changes), sorted(expected), strict=True):
        assert line.startswith(start)
    assert host.apply("--check").code == 2
    assert host.applied().plan == brief.plan
    assert diff_snapshots(good, host.look()) == []
    assert host.applied().out == ["no changes"]
    named = " ".join(shown.changes)
    replaced = set(ids) - set(host.stare()["pins"])
    assert {line.split()[0] for line in replaced} <= {word.rstrip(":") for word in named.split()}


@pytest.mark.parametrize("name", DRIFTS)
def test_after_any_drift_destroy_leaves_what_was_there_before(host: Host, name: str) -> None:
    before = host.look()
    host.applied()
    DRIFTS[name][0](host)
    host.destroyed()
    left = diff_snapshots(before, host.look())
    theirs = {
        "filter replaced under another name": ("filters: + wan0", "qdiscs: + qdisc clsact"),
        "route changed": ("routes4: + blackhole default table 100",),
        "route given more": ("routes4: + unicast default via 10.77.0.1",),
    }.get(name, ())
    assert [line for line in left if not line.startswith(theirs or ("?",))] == []
    assert bool(left) == bool(theirs)


def test_a_filter_of_ours_that_is_gone_comes_back_beside_a_foreign_one(host: Host) -> None:
    add = f"tc filter add dev wan0 egress prio {PRIO} handle 7 protocol all bpf"
    host.applied()
    host.namespace.run([*add.split(), "bytecode", "1,6 0 0 4294967295,"])
    good = host.look()
    host.sh(f"tc filter del dev wan0 egress prio {PRIO} handle {HANDLE:#x} protocol all bpf")
    assert host.applied().total == 1
    assert diff_snapshots(good, host.look()) == []


def test_a_device_that_went_and_came_back_is_set_up_again(host: Host) -> None:
    host.applied()
    lab = host.lab
    host.sh("ip link del wan0")
    gone = host.apply()
    assert gone.code == 1
    assert "no such interface here (there is: none)" in gone.err
    host.sh(
        f"ip link add wan0 type veth peer name isp0 netns {lab.net.name}", "ip link set wan0 up"
    )
    assert [line[:15] for line in host.applied().changes] == [
        "+ qdisc at the ",
        "+ filter wan0 i",
        "+ filter wan0 e",
    ]


def test_a_renamed_device_loses_its_filters_with_the_next_destroy(host: Host) -> None:
    host.applied()
    host.sh("ip link set wan0 down", "ip link set wan0 name uplink")
    assert "- filter uplink egress" in "\n".join(host.destroyed().out)
    assert not host.stare()["filters"]


def test_a_pin_left_half_made_by_a_killed_run_is_cleared_away(host: Host) -> None:
    host.applied()
    good = host.look()
    pin = host.pin("maps", "counters")
    with open_pinned(str(pin)) as fd, host.namespace.entered():
        from netplan_tproxy.kernel.bpf import maps as bpf_maps  # noqa: PLC0415

        bpf_maps.pin(fd, f"{pin}~")
    assert host.applied().changes == [f"- map {pin.name}~"]
    assert diff_snapshots(good, host.look()) == []


def test_what_carries_our_sign_is_found_without_a_ledger(host: Host) -> None:
    host.applied()
    for path in host.state.iterdir():
        path.unlink()
    host.state.rmdir()
    assert host.applied().out[-1] == "no changes"
    for path in host.state.glob("ledger*"):
        path.unlink()
    host.destroyed()
    left = host.look()
    assert left["filters"] == []
    assert not [line for line in left["bpffs"] if "netplan" in line]
    assert not [line for line in left["rules4"] + left["routes4"] if "233" in line]
