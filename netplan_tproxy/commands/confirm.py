"""A change that goes back unless it is confirmed in time (``--confirm SECONDS``).

The change is made, but its journal is not closed. A watchdog, forked from the run, holds
the objects that undo needs; whoever confirms makes the ledger of the change the truth.
"""

from __future__ import annotations

import contextlib
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from netplan_tproxy.errors import LockedError, NotPutBackError, RolledBackError, TproxyError
from netplan_tproxy.reconcile.transaction import put_back
from netplan_tproxy.resource.values import Ledger
from netplan_tproxy.state.pending import Mark, Pending
from netplan_tproxy.state.site_record import SiteRecord
from netplan_tproxy.state.state import State
from netplan_tproxy.system.process import Process, since_boot
from netplan_tproxy.system.signals import Interrupted
from netplan_tproxy.system.watchdog import spawn

_LOCK_TIMEOUT = 60.0
_INTERVAL = 0.1
_SLACK = 30.0

_NOTHING = "nothing awaits its confirmation"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Held:
    """A change that awaits its confirmation, and the mark that tells how it ends."""

    pending: Pending
    mark: Mark


def hold(
    state: State,
    ledger: Ledger,
    site: SiteRecord | None,
    seconds: float,
    undo: Callable[[], list[str]],
) -> Held:
    """Leave the change of the run under way in place for ``seconds``, then ``undo`` it.

    ``undo`` is called in another process, and gives what it left to others. ``ledger`` and
    ``site`` are the truth once it is confirmed.
    """
    deadline = since_boot() + seconds
    mark = state.pending_mark()

    def begin(watchdog: Process) -> None:
        state.after_fork()
        state.hold(ledger, site, deadline, watchdog)
        mark.refresh()

    def waiting() -> float | None:
        pending = _still(state, run)
        if pending is not None:
            mark.refresh()
            return pending.deadline
        # Where the mark was not released but lost (somebody removed the state directory),
        # nobody can confirm any more: the change goes back.
        return 0.0 if mark.lost else None

    def go_back() -> None:
        with state.lock(_LOCK_TIMEOUT):
            if waiting() is not None:
                left = undo()
                if left or mark.lost:
                    state.tell_left(run, left)
                state.abandon()
                state.release()
                mark.forget()

    try:
        run = state.hold(ledger, site, deadline, None)
        watchdog = spawn(begin, waiting, go_back)
    except BaseException:
        state.release()
        raise
    mark.require()
    return Held(Pending(run, deadline, watchdog, dict(ledger), site), mark)


def refuse_while_pending(state: State) -> None:
    """Raise LockedError while a change awaits its confirmation."""
    pending = state.pending()
    if pending is not None and not pending.overdue:
        message = (
            f"a change awaits its confirmation for another {pending.left:.0f} s: "
            "tproxy-apply --commit or --rollback first; nothing was touched"
        )
        raise LockedError(message)


def commit(state: State, lock_timeout: float, say: Say) -> None:
    """Confirm what awaits it. Raises TproxyError when nothing does."""
    with state.lock(lock_timeout):
        pending = state.pending()
        if pending is None:
            raise TproxyError(_NOTHING)
        if pending.left <= 0 and pending.watchdog.alive:
            message = "too late: the change is going back at this moment"
            raise TproxyError(message)
        state.confirm(pending)
    say("confirmed")


def rollback(state: State, lock_timeout: float, say: Say) -> bool:
    """Ask the watchdog to go back now; False when there is none to ask.

    ``say`` is told the outcome. Raises NotPutBackError when that does not come to pass.
    """
    pending = _asked_back(state, lock_timeout)
    if pending is None:
        return False
    with state.pending_mark() as mark:
        say(put_back(_gone_back(state, pending, mark)))
    return True


def _asked_back(state: State, lock_timeout: float) -> Pending | None:
    """Let the time of what awaits its confirmation be over; None without a watchdog to ask."""
    with state.lock(lock_timeout):
        pending = state.pending()
        if pending is None or not pending.watchdog.alive:
            return None
        state.hold(pending.ledger, pending.site, 0.0, pending.watchdog)
        return pending


def await_confirmation(state: State, held: Held, say: Say) -> None:
    """Wait for ``--commit`` elsewhere, or Enter here. Raises RolledBackError in the end."""
    pending, mark = held.pending, held.mark
    terminal = sys.stdin is not None and sys.stdin.isatty()
    enter = "press Enter, or " if terminal else ""
    say(f"goes back in {pending.left:.0f} s: {enter}run tproxy-apply --commit to keep it")
    why = "not confirmed in time"
    try:
        _wait(state, pending.run, mark, say, terminal=terminal)
    except Interrupted as interrupt:
        if interrupt.number == signal.SIGHUP:
            # The session is lost, maybe by what we did: the watchdog waits for a new one.
            raise
        why = "interrupted"
        _asked_back(state, _LOCK_TIMEOUT)
    _until_settled(state, pending, mark)
    if not state.committed(pending.run):
        message = f"{why}; {put_back(_gone_back(state, pending, mark))}"
        raise RolledBackError(message)


def _wait(state: State, run: str, mark: Mark, say: Say, *, terminal: bool) -> None:
    """Wait until the run is confirmed, or taken back, or its time is over."""
    while (pending := _still(state, run)) is not None and pending.left > 0:
        mark.refresh()
        if not pending.watchdog.alive:
            return
        if not terminal:
            time.sleep(_INTERVAL)
        elif select.select([sys.stdin], [], [], _INTERVAL)[0]:
            terminal = bool(sys.stdin.readline())
            if terminal:
                with contextlib.suppress(TproxyError):
                    commit(state, _LOCK_TIMEOUT, say)


def _still(state: State, run: str) -> Pending | None:
    found = state.pending()
    return found if found is not None and found.run == run else None


def _gone_back(state: State, pending: Pending, mark: Mark) -> list[str]:
    """Wait until the watchdog has gone back; give what it left to others.

    Raises NotPutBackError where nothing says so.
    """
    _until_settled(state, pending, mark)
    if not mark.lost:
        return state.left(pending.run) or []
    deadline = time.monotonic() + _SLACK
    while (left := state.left(pending.run)) is None and time.monotonic() < deadline:
        time.sleep(_INTERVAL)
    if left is None:
        message = (
            "not confirmed, and the state directory, which was removed meanwhile, does not say "
            "what has become of the change: see tproxy-apply --status"
        )
        raise NotPutBackError(message)
    return left


def _until_settled(state: State, pending: Pending, mark: Mark) -> None:
    deadline = time.monotonic() + _SLACK
    while (found := _still(state, pending.run)) is not None:
        mark.refresh()
        if not found.watchdog.alive or time.monotonic() > deadline:
            message = "the change has not gone back as it should have: run tproxy-apply --rollback"
            raise NotPutBackError(message)
        time.sleep(_INTERVAL)
