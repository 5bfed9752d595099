"""A held change: it is made, and goes back unless it is confirmed in time.

Its journal is not closed. A watchdog, forked from the run, holds the objects that undo
needs; whoever confirms makes the ledger of the change the truth.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from netplan_tproxy.errors import (
    LockedError,
    NothingPendingError,
    NotPutBackError,
    OtherRunError,
)
from netplan_tproxy.resource.values import Ledger
from netplan_tproxy.state.pending import Mark, Pending
from netplan_tproxy.state.site_record import SiteRecord
from netplan_tproxy.state.state import State
from netplan_tproxy.system.process import Process, since_boot
from netplan_tproxy.system.watchdog import spawn

LOCK_TIMEOUT = 60.0
INTERVAL = 0.1
_SLACK = 30.0


@dataclass(frozen=True)
class Held:
    """A change that waits for confirmation, and the mark that tells how it ends."""

    pending: Pending
    mark: Mark


@dataclass(frozen=True)
class Endings:
    """How it ends: ``undo`` gives what it left to others, ``kept`` comes after the commit."""

    undo: Callable[[], list[str]]
    kept: Callable[[], object]


def hold(
    state: State,
    ledger: Ledger,
    site: SiteRecord | None,
    seconds: float,
    endings: Endings,
) -> Held:
    """Leave the change of the run under way in place for ``seconds``, then undo it.

    Either ending takes place in another process. ``ledger`` and ``site`` are the truth once it
    is confirmed.
    """
    deadline = since_boot() + seconds
    mark = state.pending_mark()

    def begin(watchdog: Process) -> None:
        state.after_fork()
        state.hold(ledger, site, deadline, watchdog)
        mark.refresh()

    def waiting() -> float | None:
        pending = still(state, run)
        if pending is not None:
            mark.refresh()
            return pending.deadline
        # Where the mark was not released but lost (somebody removed the state directory),
        # nobody can confirm any more: the change goes back.
        return 0.0 if mark.lost else None

    def go_back() -> None:
        with state.lock(LOCK_TIMEOUT):
            if waiting() is not None:
                left = endings.undo()
                if left or mark.lost:
                    state.tell_left(run, left)
                state.abandon()
                state.release()
                mark.forget()

    def let_go() -> None:
        if state.committed(run):
            endings.kept()

    try:
        run = state.hold(ledger, site, deadline, None)
        watchdog = spawn(begin, waiting, go_back, let_go)
    except BaseException:
        state.release()
        raise
    mark.require()
    return Held(Pending(run, deadline, watchdog, dict(ledger), site), mark)


def refuse_while_pending(state: State) -> None:
    """Raise LockedError while a change waits for confirmation."""
    pending = state.pending()
    if pending is not None and not pending.overdue:
        message = (
            f"a change waits for confirmation for another {pending.left:.0f} s: "
            "tproxy-apply --commit or --rollback first; nothing was touched"
        )
        raise LockedError(message)


def named(state: State, run: str) -> Pending | None:
    """Read what waits for confirmation; None: nothing does, and no ``run`` was named.

    Raises NothingPendingError or OtherRunError where ``run`` is named and does not wait.
    """
    pending = state.pending()
    if run and pending is None:
        message = f"run {run} is not waiting for confirmation: it was confirmed, or undone"
        raise NothingPendingError(message)
    if run and pending is not None and pending.run != run:
        message = f"run {run} is not waiting for confirmation, but run {pending.run} does"
        raise OtherRunError(message)
    return pending


def still(state: State, run: str) -> Pending | None:
    """Return the pending change if it is the one of ``run``."""
    pending = state.pending()
    return pending if pending is not None and pending.run == run else None


def gone_back(state: State, pending: Pending, mark: Mark) -> list[str]:
    """Wait until the watchdog has undone the change; return what it left, as others use it.

    Raises NotPutBackError where nothing says so.
    """
    until_settled(state, pending, mark)
    if not mark.lost:
        return state.left(pending.run) or []
    deadline = time.monotonic() + _SLACK
    while (left := state.left(pending.run)) is None and time.monotonic() < deadline:
        time.sleep(INTERVAL)
    if left is None:
        message = (
            "not confirmed, and the state directory, which was removed meanwhile, does not say "
            "what has become of the change: see tproxy-apply --status"
        )
        raise NotPutBackError(message)
    return left


def until_settled(state: State, pending: Pending, mark: Mark) -> None:
    """Wait until it awaits nothing any more. Raises NotPutBackError where that takes too long."""
    deadline = time.monotonic() + _SLACK
    while (seen := still(state, pending.run)) is not None:
        mark.refresh()
        if not seen.watchdog.alive or time.monotonic() > deadline:
            message = (
                "the change was not undone as it should have been: run tproxy-apply --rollback"
            )
            raise NotPutBackError(message)
        time.sleep(INTERVAL)
