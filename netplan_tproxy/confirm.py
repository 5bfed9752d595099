"""A change that goes back unless it is confirmed in time (``--confirm SECONDS``).

The change is made, but its journal is not closed. A watchdog, forked from the run, holds
the objects that undo needs; whoever confirms makes the ledger of the change the truth.
"""

from __future__ import annotations

import contextlib
import select
import sys
import time
from collections.abc import Callable, Sequence

from netplan_tproxy import engine
from netplan_tproxy.errors import LockedError, RolledBackError, TproxyError
from netplan_tproxy.kernel import Kernel
from netplan_tproxy.kinds import Kinds
from netplan_tproxy.model import Change, Ledger
from netplan_tproxy.state import Pending, State
from netplan_tproxy.watchdog import now, spawn

_LOCK_TIMEOUT = 60.0
_INTERVAL = 0.1
_SLACK = 30.0

Say = Callable[[str], None]


def hold(  # noqa: PLR0913 - what undo needs
    state: State, ledger: Ledger, seconds: float, made: Sequence[Change], kinds: Kinds, kernel: Kernel
) -> None:
    """Leave ``made`` in place for ``seconds``, with a watchdog to take it back."""
    deadline = now() + seconds
    state.hold(ledger, deadline, None)
    pending = state.pending()
    run = pending.run if pending else ""

    def waiting() -> float | None:
        found = state.pending()
        return found.deadline if found is not None and found.run == run else None

    def go_back() -> None:
        with state.lock(_LOCK_TIMEOUT):
            if waiting() is None:
                return
            kernel.after_fork()
            engine.undo(made, kinds, kernel, cause=TimeoutError("not confirmed in time"))
            state.abandon()
            state.release()

    state.hold(ledger, deadline, spawn(waiting, go_back, state.after_fork))


def refuse_while_pending(state: State) -> None:
    """Raise LockedError while a change awaits its confirmation."""
    pending = state.pending()
    if pending is not None and not overdue(pending):
        message = (
            f"a change awaits its confirmation for another {pending.left:.0f} s: "
            "tproxy-apply --commit or --rollback first; nothing was touched"
        )
        raise LockedError(message)


def overdue(pending: Pending) -> bool:
    """Whether it should have gone back, and nobody is left to do it."""
    return pending.left <= 0 and not pending.watchdog.alive


def commit(state: State, lock_timeout: float, say: Say) -> None:
    """Confirm what awaits it. Raises TproxyError when nothing does."""
    with state.lock(lock_timeout):
        pending = state.pending()
        if pending is None or pending.left <= 0:
            message = "nothing awaits its confirmation"
            raise TproxyError(message)
        state.confirm(pending)
    say("confirmed")


def rollback(state: State, lock_timeout: float) -> bool:
    """Ask the watchdog to go back now; False when there is none to ask.

    Raises TproxyError when nothing awaits its confirmation, or it does not come to pass.
    """
    with state.lock(lock_timeout):
        pending = state.pending()
        if pending is None:
            message = "nothing awaits its confirmation"
            raise TproxyError(message)
        if not pending.watchdog.alive:
            return False
        state.hold(pending.ledger, 0.0, pending.watchdog)
    _until_settled(state, pending, _SLACK)
    return True


def await_confirmation(state: State, seconds: float, say: Say) -> None:
    """Wait for ``--commit`` elsewhere, or Enter here. Raises RolledBackError in the end."""
    pending = state.pending()
    if pending is None:
        return
    terminal = sys.stdin is not None and sys.stdin.isatty()
    enter = "press Enter, or " if terminal else ""
    say(f"goes back in {seconds:.0f} s: {enter}run tproxy-apply --commit to keep it")
    while (found := state.pending()) is not None and found.run == pending.run:
        if found.left <= -_SLACK or (found.left <= 0 and not found.watchdog.alive):
            break
        if terminal and found.left > 0 and select.select([sys.stdin], [], [], _INTERVAL)[0]:
            if not sys.stdin.readline():
                terminal = False
                continue
            with contextlib.suppress(TproxyError):
                commit(state, _LOCK_TIMEOUT, say)
        else:
            time.sleep(_INTERVAL)
    if not state.committed(pending.run):
        message = "not confirmed in time; everything was put back"
        raise RolledBackError(message)


def _until_settled(state: State, pending: Pending, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = state.pending()
        if found is None or found.run != pending.run:
            return
        time.sleep(_INTERVAL)
    message = "going back takes too long: see tproxy-apply --dry-run"
    raise TproxyError(message)
