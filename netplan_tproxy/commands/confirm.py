"""``--confirm SECONDS``: wait with a held change, until it is confirmed or has gone back."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable

from netplan_tproxy.commands.commit import commit
from netplan_tproxy.commands.held import (
    INTERVAL,
    LOCK_TIMEOUT,
    Held,
    gone_back,
    still,
    until_settled,
)
from netplan_tproxy.commands.rollback import asked_back
from netplan_tproxy.errors import RolledBackError, TproxyError
from netplan_tproxy.reconcile.transaction import put_back
from netplan_tproxy.state.pending import Mark
from netplan_tproxy.state.state import State
from netplan_tproxy.system.signals import Interrupted

Say = Callable[[str], None]


def await_confirmation(state: State, held: Held, say: Say) -> None:
    """Wait for ``--commit`` elsewhere, or Enter here. Raises RolledBackError in the end."""
    pending, mark = held.pending, held.mark
    enter = "press Enter, or " if _in_foreground() else ""
    say(f"goes back in {pending.left:.0f} s: {enter}run tproxy-apply --commit to keep it")
    why = "not confirmed in time"
    try:
        _wait(state, pending.run, mark, say)
    except Interrupted as interrupt:
        if interrupt.number == signal.SIGHUP:
            # The session is lost, maybe by what we did: the watchdog waits for a new one.
            raise
        why = "interrupted"
        asked_back(state, LOCK_TIMEOUT)
    until_settled(state, pending, mark)
    if not state.committed(pending.run):
        message = f"{why}; {put_back(gone_back(state, pending, mark))}"
        raise RolledBackError(message)


def _wait(state: State, run: str, mark: Mark, say: Say) -> None:
    """Wait until the run is confirmed or taken back, or its time is over."""
    heard = True
    while (pending := still(state, run)) is not None and pending.left > 0:
        mark.refresh()
        if not pending.watchdog.alive:
            return
        if not (heard and _in_foreground()):
            time.sleep(INTERVAL)
        elif select.select([sys.stdin], [], [], INTERVAL)[0]:
            heard = bool(sys.stdin.readline())
            if heard:
                with contextlib.suppress(TproxyError):
                    commit(state, LOCK_TIMEOUT, say)


def _in_foreground() -> bool:
    """Whether a person can press Enter here: a job in the background is stopped if it reads."""
    try:
        number = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):  # closed, or no file at all
        return False
    if not os.isatty(number):
        return False
    try:
        return os.tcgetpgrp(number) == os.getpgrp()
    except OSError:  # a terminal, but not the one that controls our session: it stops nobody
        return True
