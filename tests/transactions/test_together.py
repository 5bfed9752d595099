"""Two namespaces do not meet, and two runs in one take turns."""

from __future__ import annotations

import fcntl
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.lab import Lab, diff_snapshots
from tests.lab.host import CHANGES, SITE, Host, plan_of, unchanged
from tests.lab.patience import LONG, PATIENCE
from tests.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


def test_two_namespaces_do_not_meet(host: Host, tmp_path: Path) -> None:
    with Lab() as lab:
        folder = tmp_path / "other"
        folder.mkdir()
        other = Host(lab, folder)
        untouched, before = host.look(), other.look()
        host.applied()
        mine = host.stare()
        other.write(SITE.replace("9040", "9041"))
        assert other.applied().total == CHANGES
        assert all(one.apply("--check").is_as_the_file_says for one in (host, other))
        assert host.pins != other.pins
        assert set(mine["pins"]).isdisjoint(other.stare()["pins"])
        host.destroyed()
        assert other.apply("--check").is_as_the_file_says
        other.destroyed()
        assert diff_snapshots(untouched, host.look()) == []
        assert diff_snapshots(before, other.look()) == []


def test_a_second_run_waits_for_the_first(host: Host) -> None:
    host.applied()
    with (host.state / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        words = host.popen_words("--destroy")
        waiting = host.namespace.popen(words, cwd=ROOT, stdout=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.8)
        assert host.apply("--check").is_as_the_file_says
    out, _ = waiting.communicate(timeout=PATIENCE)
    assert (waiting.returncode, plan_of(out.splitlines())[-1][-9:]) == (0, "to remove")


@pytest.mark.parametrize("seconds", ["0", "0.2"])
def test_a_run_that_has_waited_long_enough_gives_up(host: Host, seconds: str) -> None:
    host.applied()
    with (host.state / "lock").open("r+") as lock:
        lock.write("4711\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        start = time.monotonic()
        with unchanged(host.stare_at_times):
            done = host.apply("--lock-timeout", seconds)
        assert time.monotonic() - start < float(seconds) + PATIENCE / 2
    message = "another run holds the lock (process 4711); nothing was touched"
    assert done == (5, [], f"tproxy-apply: {message}\n")


def test_looking_waits_for_nobody(host: Host) -> None:
    host.applied()
    with (host.state / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for option in ("--check", "--dry-run"):
            assert host.apply(option).is_as_the_file_says


@pytest.mark.slow
def test_many_runs_at_once_end_in_one_state(host: Host) -> None:
    before = host.look()
    host.applied()
    good = host.look()
    host.destroyed()
    children = [
        host.namespace.popen(host.popen_words(*words), cwd=ROOT, stdout=subprocess.DEVNULL)
        for words in ([str(host.site)], ["--destroy"], [str(host.site)], ["--destroy"])
    ]
    assert [child.wait(LONG) for child in children] == [0, 0, 0, 0]
    assert host.apply().code == 0
    assert diff_snapshots(good, host.look()) == []
    host.destroyed()
    assert diff_snapshots(before, host.look()) == []
