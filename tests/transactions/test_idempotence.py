"""Applying twice, --check and --dry-run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from netplan_tproxy.datapath.policy import CompiledPolicy, compile_policy
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf.libbpf import Fd
from netplan_tproxy.site.model import Site
from tests.lab import compiled, diff_snapshots
from tests.lab.host import CHANGES, SITE, STATE, Host, unchanged

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

DRIFT = "ip rule del priority 1000"


def test_the_second_apply_changes_nothing_and_says_so(host: Host) -> None:
    first = host.applied()
    assert first.total == CHANGES
    assert first.plan[-1] == f"{CHANGES - 1} to add, 1 to change, 0 to remove"
    with unchanged(host.stare):
        assert host.applied().out == ["no changes"]


def test_a_run_with_nothing_to_do_neither_imports_bcc_nor_compiles(
    host: Host, tmp_path: Path
) -> None:
    host.applied()
    poison = tmp_path / "poison"
    poison.mkdir()
    (poison / "bcc.py").write_text("raise SystemExit('bcc was imported')\n")
    prefix = ("env", "-u", compiled.FOLDER, f"PYTHONPATH={poison}")
    for options in ([], ["--check"], ["--dry-run"], ["--destroy", "--dry-run"]):
        done = host.spawn(str(host.site), *options, prefix=prefix)
        assert (done.is_as_the_file_says, done.err) == (True, "")
    host.sh("ip rule del priority 1000")
    assert host.spawn(str(host.site), prefix=prefix).code == 0
    assert host.spawn("--destroy", prefix=prefix).code == 0
    assert host.spawn(str(host.site), prefix=prefix).err.strip() == "bcc was imported"


def test_a_run_with_nothing_to_do_opens_each_pin_once_and_compiles_the_policy_once(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write(SITE + "bypass: {to: [10.0.0.0/8], ports: [22]}\n")
    host.applied()
    pins: Counter[str] = Counter()
    compiled: list[Site] = []
    open_pinned = bpf_maps.open_pinned

    def counting(place: str, what: str) -> Fd:
        # The place leads through a descriptor; what is said of it names the pin.
        pins[what.removeprefix("open ")] += 1
        return open_pinned(place, what)

    def compiling(site: Site, users: dict[str, int], cgroups: dict[str, int]) -> CompiledPolicy:
        compiled.append(site)
        return compile_policy(site, users, cgroups)

    monkeypatch.setattr(bpf_maps, "open_pinned", counting)
    monkeypatch.setattr("netplan_tproxy.datapath.wanted.compile_policy", compiling)
    assert host.applied().out == ["no changes"]
    assert len(compiled) == 1
    assert pins.keys() == {str(path) for path in host.pins.glob("*/*")}
    assert set(pins.values()) == {1}


@pytest.mark.parametrize("option", ["--check", "--dry-run"])
def test_looking_touches_nothing(host: Host, option: str) -> None:
    with unchanged(host.stare_at_times):
        assert host.apply(option).code == (2 if option == "--check" else 0)
    assert not STATE.exists()
    host.applied()
    with unchanged(host.stare_at_times):
        assert host.apply(option).is_as_the_file_says
        assert host.run("--destroy", option).code == (2 if option == "--check" else 0)
    host.sh(DRIFT)
    with unchanged(host.stare_at_times):
        assert host.apply(option).code == (2 if option == "--check" else 0)


def test_check_exits_2_when_anything_differs_and_0_when_not(host: Host) -> None:
    assert host.apply("--check").code == 2
    host.applied()
    assert host.apply("--check").is_as_the_file_says
    host.sh("sysctl -qw net.ipv4.conf.lo.accept_local=0")
    assert host.apply("--check").code == 2
    host.applied()
    host.write(SITE.replace("9040", "9041"))
    assert host.apply("--check").code == 2
    assert host.run("--destroy", "--check").code == 2
    host.destroyed()
    assert host.run("--destroy", "--check").code == 0


def test_what_dry_run_shows_is_exactly_what_apply_says_and_does(host: Host) -> None:
    def same() -> None:
        shown = host.apply("--dry-run")
        assert shown.code == 0
        done = host.applied()
        assert shown.plan == done.plan
        assert done.changes
        assert host.applied().out == ["no changes"]

    same()
    host.sh(DRIFT, "tc filter del dev wan0 egress")
    same()
    host.write(SITE.replace("9040", "9041") + "marks: {intercept: 0x4/0x4}\n")
    same()
    shown = host.run("--destroy", "--dry-run")
    assert shown.plan == host.destroyed().plan
    assert shown.plan[-1] == f"0 to add, 1 to change, {CHANGES - 1} to remove"


def test_every_line_of_a_plan_names_an_object_that_then_differs(host: Host) -> None:
    before = host.look()
    lines = host.apply("--dry-run", "-v").changes
    host.applied()
    differing = "\n".join(diff_snapshots(before, host.look()))
    assert "sysctls: + net.ipv4.conf.lo.accept_local = 1" in differing
    assert "rules4: + 1000: from all fwmark 0x1/0x1 lookup 100 proto 233" in differing
    assert "routes4: + local default dev lo table 100 proto 233 scope host" in differing
    for line in lines:
        words = line.split()
        if words[1] in {"map", "program"}:
            assert f"{words[1]}s/{words[2].rstrip(':')}" in differing
        if words[1] == "filter":
            assert f"filters: + {words[2]} {words[3].rstrip(':')}: filter" in differing
