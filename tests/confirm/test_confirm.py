"""``--confirm``: what nobody confirms goes back, whoever else has died meanwhile."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.confirm.support import awaiting, ended, is_as, time_is_up, watchdog_of
from tests.lab.host import SITE, STATE, Host, unchanged
from tests.lab.patience import PATIENCE, eventually
from tests.transactions.test_failure import OTHER

if TYPE_CHECKING:
    from tests.lab import Snapshot

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


def went_back(host: Host, before: Snapshot) -> None:
    eventually(lambda: not (host.state / "pending.json").exists())
    eventually(lambda: is_as(host, before))


def test_what_is_not_confirmed_in_time_goes_back(host: Host) -> None:
    before = host.look()
    with awaiting(host, 1) as run:
        code, said = ended(run)
    assert code == 3
    assert said == "tproxy-apply: not confirmed in time; everything was put back\n"
    assert is_as(host, before)
    assert not STATE.exists()


def test_what_is_confirmed_stays(host: Host) -> None:
    with awaiting(host, 30) as run:
        watchdog = watchdog_of(host)
        assert host.run("--commit").out == ["confirmed"]
        assert ended(run)[0] == 0
    eventually(lambda: not Path(f"/proc/{watchdog}").exists())
    assert host.applied().out == ["no changes"]


def test_enter_on_a_terminal_confirms(host: Host) -> None:
    ours, theirs = os.openpty()
    with awaiting(host, 30, stdin=theirs) as run:
        os.close(theirs)
        os.write(ours, b"\n")
        code, said = ended(run)
    os.close(ours)
    assert (code, said) == (0, "confirmed\n")
    assert host.applied().out == ["no changes"]


def test_a_terminal_that_goes_away_confirms_nothing(host: Host) -> None:
    before = host.look()
    ours, theirs = os.openpty()
    with awaiting(host, 30, stdin=theirs) as run:
        os.close(theirs)
        os.close(ours)
        time_is_up(host)
        assert ended(run)[0] == 3
    assert is_as(host, before)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGHUP])
def test_the_run_may_die_and_the_change_goes_back_all_the_same(
    host: Host, how: signal.Signals
) -> None:
    before = host.look()
    with awaiting(host, 30, start_new_session=True) as run:
        os.killpg(run.pid, how)  # all of its session, as when the connection is lost
        run.wait(PATIENCE)
        assert watchdog_of(host)
        assert not is_as(host, before)
        time_is_up(host)
        went_back(host, before)
    assert not (host.state / "ledger.json").exists()


def test_the_run_may_die_and_the_change_can_be_confirmed_all_the_same(host: Host) -> None:
    with awaiting(host, 30) as run:
        run.kill()
        assert host.run("--commit").code == 0
    assert host.applied().out == ["no changes"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_goes_back_at_once(host: Host, how: signal.Signals) -> None:
    before = host.look()
    with awaiting(host, 30) as run:
        time.sleep(0.3)
        run.send_signal(how)
        assert ended(run) == (3, "tproxy-apply: interrupted; everything was put back\n")
    assert is_as(host, before)


def test_rollback_goes_back_at_once(host: Host) -> None:
    before = host.look()
    with awaiting(host, 30) as run:
        assert host.run("--rollback").out == ["everything was put back"]
        assert ended(run)[0] == 3
    assert is_as(host, before)


def test_the_watchdog_may_die_too_and_the_next_run_goes_back_first(host: Host) -> None:
    before = host.look()
    with awaiting(host, 30) as run:
        os.kill(watchdog_of(host), signal.SIGKILL)
        run.kill()
        run.wait()
    time_is_up(host)
    said = host.destroyed().out
    assert said[0] == "a change was not confirmed, and its watchdog is gone: it goes back first"
    assert is_as(host, before)
    assert not STATE.exists()


def test_without_its_watchdog_a_change_can_still_be_confirmed_or_taken_back(host: Host) -> None:
    before = host.look()
    for mode in ("--rollback", "--commit"):
        with awaiting(host, 30) as run:
            os.kill(watchdog_of(host), signal.SIGKILL)
            code, said = ended(run)
            assert code == 4
            assert "run tproxy-apply --rollback" in said
        assert host.run(mode).code == 0
        assert is_as(host, before) == (mode == "--rollback")
    assert host.applied().out == ["no changes"]


def test_an_upgrade_and_a_destroy_go_back_too(host: Host) -> None:
    host.applied()
    before = host.stare()
    host.write(OTHER)
    with awaiting(host, 1) as run:
        assert ended(run)[0] == 3
    assert {**host.stare(), "state": []} == {**before, "state": []}
    with host.namespace.entered():
        done = host.spawn("--destroy", "--confirm", "1")
    assert done.code == 3
    assert {**host.stare(), "state": []} == {**before, "state": []}
    host.write(SITE)
    assert host.applied().out == ["no changes"]


def test_another_run_meanwhile_is_told_and_touches_nothing(host: Host) -> None:
    with awaiting(host, 30):
        with unchanged(host.stare):
            for arguments in ([str(host.site)], ["--destroy"]):
                done = host.run(*arguments)
                assert done.code == 5
                assert done.err.startswith("tproxy-apply: a change waits for confirmation")
                assert done.err.endswith("--commit or --rollback first; nothing was touched\n")
            looked = host.apply("--dry-run")
            assert looked.out[0].startswith("a change waits for confirmation for another ")
            assert host.apply("--check").is_as_the_file_says


@pytest.mark.parametrize("mode", ["--commit", "--rollback"])
def test_with_nothing_pending_there_is_nothing_to_confirm(host: Host, mode: str) -> None:
    done = host.run(mode)
    assert done.code == 7
    assert done.err.startswith("tproxy-apply: nothing is waiting for confirmation")
    assert not STATE.exists()


def test_a_run_without_changes_waits_for_nothing(host: Host) -> None:
    host.applied()
    assert host.apply("--confirm", "30").out == ["no changes"]
