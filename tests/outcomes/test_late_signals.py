"""Signals at the moment at which a pending change is confirmed, or is asked to go back."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from netplan_tproxy.state.state import State
from tests.confirm.support import awaiting, is_as, watchdog_of
from tests.lab.patience import eventually
from tests.lab.processes import ends_within

if TYPE_CHECKING:
    from tests.lab.host import Host

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


def signalled_after(patch: pytest.MonkeyPatch, method: str, number: int) -> None:
    """Let a signal come just when a method of the state has done its work."""
    real = getattr(State, method)

    def late(*arguments: Any) -> Any:
        outcome = real(*arguments)
        os.kill(os.getpid(), number)
        return outcome

    patch.setattr(State, method, late)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_after_a_confirmation_comes_too_late(
    host: Host, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    with awaiting(host, 600):
        with monkeypatch.context() as patch:
            signalled_after(patch, "confirm", number)
            done = host.run("--commit")
        assert (done.code, done.out, done.err) == (0, ["confirmed"], "")
    assert host.apply("--check").is_as_the_file_says


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_after_a_change_was_asked_back_says_that_it_goes_back(
    host: Host, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    before = host.look()
    with awaiting(host, 600):
        watchdog = watchdog_of(host)
        with monkeypatch.context() as patch:
            signalled_after(patch, "end_time", number)
            done = host.run("--rollback")
        said = "tproxy-apply: interrupted; the change is being undone, as asked\n"
        assert (done.code, done.err) == (128 + number, said)
        assert ends_within(watchdog, 30)
    eventually(lambda: is_as(host, before))


def test_a_signal_after_a_change_went_back_says_that_it_did(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = host.look()
    with awaiting(host, 600):
        watchdog = watchdog_of(host)
        os.kill(watchdog, signal.SIGKILL)
        assert ends_within(watchdog, 30)
        with monkeypatch.context() as patch:
            signalled_after(patch, "abandon", signal.SIGTERM)
            done = host.run("--rollback")
        said = "what was not committed was undone, and nothing else was done"
        assert (done.code, done.err) == (143, f"tproxy-apply: interrupted; {said}\n")
        assert is_as(host, before)
