"""An interface gets another name, or two exchange theirs: ours is known by its device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from netplan_tproxy.errors import KernelError
from tests.lab import Lab, diff_snapshots
from tests.lab.foreign import put_other_program
from tests.lab.host import STATE, Host
from tests.lab.sabotage import raising, sabotaged

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

GATEWAY = """\
version: 1
interfaces: {lan0: {intercept: forward}}
proxy: {port: 9040}
sysctls: {net.ipv4.conf.lan0.rp_filter: 2, net.ipv4.conf.wan0.log_martians: 1}
"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with Lab(lan=True) as lab:
        made = Host(lab, tmp_path)
        made.write(GATEWAY)
        yield made
        made.run("--destroy")
        assert not STATE.exists()
        assert not made.pins.exists()


def renamed(host: Host, **names: str) -> None:
    """Give devices other names; two may exchange theirs."""
    for old in names:
        host.sh(f"ip link set {old} down", f"ip link set {old} name was-{old}")
    for old, new in names.items():
        host.sh(f"ip link set was-{old} name {new}", f"ip link set {new} up")


def put_back(host: Host, **names: str) -> None:
    renamed(host, **{new: old for old, new in names.items()})


def left(host: Host) -> list[str]:
    """What is there that no lab has by itself."""
    qdiscs = [line for line in host.look()["qdiscs"] if "clsact" in line]
    settings = [line for line in host.look()["sysctls"]
                if line.endswith(("rp_filter = 2", "log_martians = 1"))]  # fmt: skip
    return qdiscs + settings


def test_destroy_takes_down_what_is_on_a_device_that_has_another_name(host: Host) -> None:
    assert left(host) == []
    host.applied()
    renamed(host, lan0="lan9")
    host.destroyed()
    assert left(host) == []


def test_destroy_leaves_what_others_have_on_the_device_that_has_the_name_now(host: Host) -> None:
    host.sh("tc qdisc add dev wan0 clsact")
    host.namespace.sysctl("net.ipv4.conf.wan0.rp_filter", 2)
    before = left(host)
    host.applied()
    renamed(host, lan0="wan0", wan0="lan0")
    host.destroyed()
    put_back(host, lan0="wan0", wan0="lan0")
    assert left(host) == before


def test_an_apply_follows_the_name_and_leaves_nothing_behind(host: Host) -> None:
    host.applied()
    renamed(host, lan0="wan0", wan0="lan0")
    host.applied()
    assert host.applied().out[-1] == "no changes"
    qdiscs = [line.split()[4] for line in host.look()["qdiscs"] if "clsact" in line]
    assert sorted(qdiscs) == ["lan0", "lo"]
    host.destroyed()
    assert left(host) == []


def test_the_plan_calls_a_device_by_the_name_that_it_has(host: Host) -> None:
    host.applied()
    renamed(host, lan0="lan9")
    shown = host.run("--destroy", "--dry-run").out
    assert "- qdisc at the ingress of lan9: clsact" in shown
    assert "~ sysctl net.ipv4.conf.lan9.rp_filter: 2 → 0" in shown


def test_an_undo_follows_a_device_that_is_renamed_meanwhile(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rename_and_fail() -> None:
        renamed(host, lan0="lan9")
        raising(KernelError("no"))()

    before = host.look()
    with sabotaged(monkeypatch, rename_and_fail, 22, done=True):
        done = host.apply()
    assert done.code == 3
    renamed(host, lan9="lan0")
    host.sh("ip route replace default via 10.77.0.1 dev wan0 metric 0")
    assert diff_snapshots(before, host.look()) == []


def test_what_was_adopted_goes_back_to_the_device_that_has_another_name(host: Host) -> None:
    host.write(GATEWAY.replace("{lan0: {intercept: forward}}", "{wan0: {}}"))
    host.sh("tc qdisc add dev wan0 clsact")
    put_other_program(host, "theirs")
    theirs = host.sh("tc filter show dev wan0 egress")
    assert host.apply("--adopt").code == 0
    renamed(host, wan0="wan9")
    host.destroyed()
    assert host.sh("tc filter show dev wan9 egress") == theirs
    host.sh("tc qdisc del dev wan9 clsact")


def test_a_setting_of_a_device_that_came_anew_is_not_the_old_ones(host: Host) -> None:
    host.applied()
    host.sh("ip link del lan0", "ip link add lan0 type veth peer name eth9")
    assert host.namespace.sysctl("net.ipv4.conf.lan0.rp_filter") == "0"
    host.namespace.sysctl("net.ipv4.conf.lan0.rp_filter", 1)
    host.applied()
    host.destroyed()
    assert host.namespace.sysctl("net.ipv4.conf.lan0.rp_filter") == "1"


def test_a_setting_that_was_first_changed_along_with_another_goes_back_all_the_same(
    host: Host,
) -> None:
    host.sh("sysctl -q net.ipv4.conf.wan0.forwarding=0")
    before = host.look()["sysctls"]
    without = GATEWAY[: GATEWAY.index("sysctls:")]
    host.write(f"{without}sysctls: {{net.ipv4.ip_forward: 1}}\n")
    host.applied()
    host.write(f"{without}sysctls: {{net.ipv4.conf.wan0.forwarding: 1}}\n")
    host.applied()
    renamed(host, wan0="wan9")
    host.destroyed()
    put_back(host, wan0="wan9")
    assert host.look()["sysctls"] == before
