"""SIGKILL in the middle of a run: the next run knows what belongs to it."""

from __future__ import annotations

import pytest

from netplan_tproxy.state.ledger import LedgerFile
from netplan_tproxy.state.state import State
from tests.lab import Snapshot, diff_snapshots
from tests.lab.host import CHANGES, SITE, STATE, Host, unchanged
from tests.lab.sabotage import (
    die,
    in_a_child_that_dies,
    killed,
    killed_on_the_way_back,
)
from tests.transactions.test_failure import OTHER

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

BOTH = [(step, done) for step in range(CHANGES) for done in (False, True)]


def looks(host: Host, expected: Snapshot) -> None:
    assert diff_snapshots(expected, host.look()) == []


def test_after_a_first_apply_killed_anywhere_destroy_leaves_no_trace(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = host.look()
    host.applied()  # a child need not compile what is compiled here
    host.destroyed()
    for step, done in BOTH:
        killed(host, monkeypatch, str(host.site), at=step, done=done)
        shown = host.run("--destroy", "--dry-run")
        said = host.destroyed().plan
        assert (
            said[0] == f"a run was killed after {step + 1} of its changes: this run takes them over"
        )
        assert said == shown.out
        looks(host, before)
        assert not STATE.exists()


def test_after_a_first_apply_killed_anywhere_apply_completes_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = host.look()
    host.applied()
    complete = host.look()
    host.destroyed()
    for step in range(CHANGES):
        killed(host, monkeypatch, str(host.site), at=step, done=bool(step % 2))
        host.applied()
        assert host.applied().out == ["no changes"]
        looks(host, complete)
        host.destroyed()
        looks(host, before)


def test_after_an_apply_of_another_file_was_killed_either_file_works_and_destroy_too(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = host.look()
    complete = {}
    for text in (SITE, OTHER):
        host.write(text)
        host.applied()
        complete[text] = host.look()
    for step in range(6):
        for text in (SITE, OTHER):
            host.write(SITE)
            host.applied()
            host.write(OTHER)
            killed(host, monkeypatch, str(host.site), at=step, done=bool(step % 2))
            host.write(text)
            host.applied()
            looks(host, complete[text])
            host.destroyed()
            looks(host, before)


def test_after_a_destroy_killed_anywhere_destroy_finishes_and_apply_returns(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = host.look()
    host.applied()
    complete = host.look()
    for step in range(CHANGES):
        killed(host, monkeypatch, "--destroy", at=step, done=bool(step % 2))
        if step % 3:
            host.destroyed()
            looks(host, before)
            assert not STATE.exists()
        host.applied()
        looks(host, complete)
    host.destroyed()
    looks(host, before)


def test_killed_on_the_way_back_is_no_different(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = host.look()
    for back in range(0, CHANGES - 1, 3):
        killed_on_the_way_back(host, monkeypatch, str(host.site), changes=CHANGES, back=back)
        host.destroyed()
        looks(host, before)


WRITER = {"write": LedgerFile}


@pytest.mark.parametrize("moment", ["begin", "write", "abandon"])
def test_killed_while_writing_things_down(
    host: Host, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    def run() -> None:
        monkeypatch.setattr(WRITER.get(moment, State), moment, lambda *_: die())
        host.run(str(host.site))

    before = host.look()
    in_a_child_that_dies(run)
    host.applied()
    assert host.applied().out == ["no changes"]
    in_a_child_that_dies(lambda: killed_destroy(host, monkeypatch, moment))
    host.destroyed()
    looks(host, before)
    assert not STATE.exists()


def killed_destroy(host: Host, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    monkeypatch.setattr(WRITER.get(moment, State), moment, lambda *_: die())
    host.run("--destroy")


def test_a_sysctl_keeps_its_first_value_through_two_killed_runs(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = host.look()
    for value in (33, 34):
        host.write(SITE + f"sysctls: {{net.ipv4.ip_default_ttl: {value}}}\n")
        killed(host, monkeypatch, str(host.site), at=1, done=True)
    host.destroyed()
    looks(host, before)


def test_looking_after_a_killed_run_touches_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(host, monkeypatch, str(host.site), at=9, done=True)
    with unchanged(host.stare_at_times):
        assert host.apply("--check").code == 2
        shown = host.apply("--dry-run")
    assert host.applied().plan == shown.plan


def test_the_lock_of_a_killed_run_is_no_lock(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(host, monkeypatch, str(host.site), at=3, done=True)
    assert (host.state / "lock").exists()
    assert host.apply("--lock-timeout", "0").code == 0
