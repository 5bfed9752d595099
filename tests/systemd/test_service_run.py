"""The unit under a real service manager: started, reloaded and stopped, in all its hardening."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.systemd import service
from tests.lab import Lab, diff_snapshots, snapshot
from tests.lab.patience import LONG
from tests.paths import ROOT
from tests.systemd import manager

if TYPE_CHECKING:
    from collections.abc import Iterator

SITE = "version: 1\ninterfaces:\n  wan0: {}\n  lan0: {intercept: forward}\nproxy: {port: 9040}\n"
CONTROL = "systemctl --user"
NAME = service.UNIT

pytestmark = [
    pytest.mark.lab,
    pytest.mark.bpf,
    pytest.mark.skipif(bool(manager.is_possible()), reason=manager.is_possible() or "possible"),
]


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(lan=True) as made:
        yield made


def scripted(lab: Lab, folder: Path, site: str, *lines: str) -> list[str]:
    """What a shell script says that runs beside a manager that has the unit."""
    words = [sys.executable, "-m", "netplan_tproxy"]
    unit = folder / NAME
    unit.write_text(service.contents(words, "/run/site.yaml")[service.UNIT_PATH])
    script = "\n".join(["cat >/run/site.yaml <<END", f"{site}END", *lines])
    command = [sys.executable, "-m", "tests.systemd.manager", str(unit), script]
    done = lab.host.run(command, cwd=ROOT, check=False, timeout=LONG)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_it_applies_at_start_does_nothing_at_reload_and_destroys_at_stop(
    lab: Lab, tmp_path: Path
) -> None:
    before = snapshot(lab.host)
    said = scripted(
        lab, tmp_path, SITE,
        f"{CONTROL} start {NAME} && {CONTROL} is-active {NAME}",
        "ip rule show priority 1000; cat /proc/sys/net/ipv4/conf/lo/accept_local",
        "tc filter show dev wan0 egress | grep -c netplan-tproxy/",
        f"{CONTROL} reload {NAME} && tail -n 1 {manager.OUTPUT}",
        f"{CONTROL} stop {NAME} && tail -n 1 {manager.OUTPUT}",
        "ls /run/netplan-tproxy | wc -l",
    )  # fmt: skip
    assert said[0] == "active"
    assert said[1].startswith("1000:")
    assert said[2:5] == ["1", "1", "no changes"]
    assert re.fullmatch(r"taken away in \d+\.\d s", said[5])
    assert said[6] == "0"
    assert diff_snapshots(before, snapshot(lab.host)) == []


def test_it_waits_for_an_interface_that_is_not_there_yet(lab: Lab, tmp_path: Path) -> None:
    said = scripted(
        lab, tmp_path, SITE.replace("lan0", "late0"),
        # The time between two tries, not the matter of this test.
        f"mkdir -p /run/user/0/systemd/user/{NAME}.d",
        f"printf '[Service]\\nRestartSec=200ms\\n' >/run/user/0/systemd/user/{NAME}.d/z.conf",
        f"{CONTROL} daemon-reload; {CONTROL} start {NAME} 2>/dev/null || echo not yet",
        "ip link add late0 type veth peer name late1",
        f"for n in $(seq 300); do {CONTROL} -q is-active {NAME} && break; sleep 0.1; done",
        f"{CONTROL} is-active {NAME}; {CONTROL} stop {NAME}",
        "ip link del late0",
    )  # fmt: skip
    assert said == ["not yet", "active"]


def test_it_does_not_try_again_while_something_of_others_is_in_the_way(
    lab: Lab, tmp_path: Path
) -> None:
    said = scripted(
        lab, tmp_path, SITE,
        "ip route add blackhole default table 100 protocol 99",
        f"{CONTROL} start {NAME} 2>/dev/null",
        f"{CONTROL} show -P ExecMainStatus {NAME}; {CONTROL} is-active {NAME}",
        "ip route show table 100",
    )  # fmt: skip
    assert said[:2] == ["6", "failed"]
    assert said[2].startswith("blackhole default ")
