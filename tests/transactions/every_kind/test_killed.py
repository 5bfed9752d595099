"""SIGKILL at any step: the next run ends in the old state or the new, nothing in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab.budget import some
from tests.lab.sabotage import (
    killed,
    killed_on_the_way_back,
    later_version,
    this_version,
)
from tests.lab.tcx import WAYS
from tests.transactions.every_kind.support import NEW, OLD, same, steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lab.host import Host

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    yield lambda: later_version(monkeypatch)
    monkeypatch.undo()
    this_version()


def test_after_an_upgrade_killed_anywhere_the_old_file_and_the_new_one_work_and_destroy_too(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = host.look()
    host.applied()
    old = host.look()
    host.write(NEW)
    changes = steps(host, str(host.site))
    host.applied()
    new = host.look()
    for turn, step in enumerate(some(range(changes))):
        host.write(OLD)
        host.applied()
        host.write(NEW)
        killed(host, monkeypatch, str(host.site), at=step, done=bool(turn % 2))
        if turn % 3 == 0:
            host.destroyed()
            same(clean, host.look(), step)
        elif turn % 3 == 1:
            host.write(OLD)
            host.applied()
            same(old, host.look(), step)
        else:
            host.applied()
            same(new, host.look(), step)


def test_an_upgrade_killed_anywhere_is_rolled_back_when_asked_to(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.applied()
    old = host.look()
    host.write(NEW)
    changes = steps(host, str(host.site))
    for turn, step in enumerate(some(range(changes))):
        killed(host, monkeypatch, str(host.site), at=step, done=bool(turn % 2))
        assert host.run("--rollback").code == 0
        same(old, host.look(), step)


def test_a_rollback_killed_anywhere_is_finished_by_the_next(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.applied()
    old = host.look()
    host.write(NEW)
    changes = steps(host, str(host.site))
    for turn, step in enumerate(some(range(changes - 1))):
        killed(host, monkeypatch, str(host.site), at=changes - 1, done=True)
        killed(host, monkeypatch, "--rollback", at=step, done=bool(turn % 2))
        assert host.run("--rollback").code == 0
        same(old, host.look(), step)


def test_killed_anywhere_on_the_way_back_the_next_run_mends_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.applied()
    old = host.look()
    host.write(NEW)
    changes = steps(host, str(host.site))
    for back in some(range(changes)):
        killed_on_the_way_back(host, monkeypatch, str(host.site), changes=changes, back=back)
        host.write(OLD)
        host.applied()
        same(old, host.look(), back)
        host.write(NEW)


@pytest.mark.parametrize("attach", WAYS)
def test_after_new_programs_were_killed_anywhere_either_version_goes_on(
    host: Host, monkeypatch: pytest.MonkeyPatch, later: Callable[[], None], attach: str
) -> None:
    host.write(f"{OLD}attach: {attach}\n")
    clean = host.look()
    host.applied()
    later()
    changes = steps(host, str(host.site))
    host.applied()
    new = host.look()
    host.destroyed()
    for turn, step in enumerate(some(range(changes))):
        monkeypatch.undo()
        this_version()
        host.applied()
        later()
        killed(host, monkeypatch, str(host.site), at=step, done=bool(turn % 2))
        host.applied()
        same(new, host.look(), step)
        host.destroyed()
        same(clean, host.look(), step)


def test_after_a_destroy_killed_anywhere_destroy_finishes_and_apply_returns(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = host.look()
    host.applied()
    old = host.look()
    changes = steps(host, "--destroy")
    for turn, step in enumerate(some(range(changes))):
        killed(host, monkeypatch, "--destroy", at=step, done=bool(turn % 2))
        if turn % 3:
            host.destroyed()
            same(clean, host.look(), step)
        host.applied()
        same(old, host.look(), step)
