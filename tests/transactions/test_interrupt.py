"""Ctrl-C and SIGTERM at any moment: rolled back, never half done."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.lab import diff_snapshots
from tests.lab.host import CHANGES, STATE, Host, unchanged
from tests.lab.sabotage import raising, sabotaged
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

MESSAGE = "tproxy-apply: interrupted; everything is as it was before\n"


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """A run gives back the handlers it found."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.mark.parametrize("what", ["apply", "destroy"])
def test_an_interrupt_at_any_step_is_rolled_back(
    host: Host, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    if what == "destroy":
        host.applied()
    arguments = ["--destroy"] if what == "destroy" else [str(host.site)]
    before = host.stare()
    for step in range(CHANGES):
        with sabotaged(monkeypatch, raising(KeyboardInterrupt()), step, done=bool(step % 2)):
            done = host.run(*arguments)
        assert (step, done.code, done.err) == (step, 130, MESSAGE)
        assert diff_snapshots(before, host.stare()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_waits_for_the_step_under_way_and_then_rolls_back(
    host: Host, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def act() -> None:
        os.kill(os.getpid(), number)

    for step in (0, CHANGES // 2, CHANGES - 1):
        with unchanged(host.stare), sabotaged(monkeypatch, act, step) as sabotage:
            done = host.apply()
        assert (done.code, done.err) == (128 + number, MESSAGE)
        assert sabotage.made == 2 * (step + 1)
    assert not STATE.exists()


def test_more_signals_do_not_cut_the_way_back_short(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    host.applied()
    with unchanged(host.stare), sabotaged(monkeypatch, act, 5, 6, 7, 8, 9, 10):
        assert host.run("--destroy").code == 130


def test_a_signal_while_waiting_for_the_lock_ends_the_wait(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sleep(_: float) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    host.applied()
    with (host.state / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with unchanged(host.stare), monkeypatch.context() as patch:
            patch.setattr("netplan_tproxy.system.files.time.sleep", sleep)
            assert host.apply().code == 143


def test_an_ignored_hangup_stays_ignored(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with sabotaged(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGHUP), 3):
            host.applied()
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
def test_a_signal_at_any_moment_leaves_all_or_nothing(host: Host) -> None:
    nothing = host.look()
    host.spawn(str(host.site))
    host.destroyed()
    start = time.monotonic()
    host.spawn(str(host.site))
    whole = time.monotonic() - start
    everything = host.look()
    host.destroyed()
    outcomes = set()
    for tenths in range(1, 11):
        delay = f"{whole * tenths / 10:.3f}"
        words = ["timeout", "-s", "TERM", delay, *host.popen_words(str(host.site))]
        done = host.namespace.run(words, check=False, cwd=ROOT)
        assert "Traceback" not in done.stderr
        found = host.look()
        assert diff_snapshots(found, nothing) == [] or diff_snapshots(found, everything) == []
        outcomes.add(diff_snapshots(found, nothing) == [])
        host.destroyed()
        assert diff_snapshots(nothing, host.look()) == []
    assert True in outcomes
