"""``--rollback [RUN]``: take back what waits for confirmation, or what a killed run began."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from netplan_tproxy.commands.held import gone_back, named
from netplan_tproxy.commands.options import Environment, Options
from netplan_tproxy.commands.plan import untouched
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.host.capabilities import require_privileges
from netplan_tproxy.kernel.host.netns import netns_cookie
from netplan_tproxy.kinds import all_kinds
from netplan_tproxy.reconcile.outcome import GOING_BACK, GONE_BACK
from netplan_tproxy.reconcile.report import plan_report
from netplan_tproxy.reconcile.session import Session, opened, refuse_impossible
from netplan_tproxy.reconcile.transaction import put_back
from netplan_tproxy.state.pending import Pending
from netplan_tproxy.state.state import State


def carry_out(options: Options, environment: Environment) -> int:
    """Take it back. Raises TproxyError where there is nothing to take back."""
    require_privileges()
    say, interrupts = environment.reporter.say, environment.interrupts
    state = State(options.state_dir, netns_cookie(), all_kinds())
    asking = partial(_asking, environment)
    pending = asked_back(state, options.lock_timeout, options.run, asking)
    if pending is not None:
        with state.pending_mark() as mark:
            left = gone_back(state, pending, mark)
            environment.outcome.now = GONE_BACK
            say(put_back(left))
        return 0
    try:
        with (
            opened(options.state_dir, say, interrupts, adopt=options.adopt) as session,
            session.state.lock(options.lock_timeout),
        ):
            session.set_damage_aside()
            go_back(session, environment)
    except KernelError as refusal:
        raise untouched(refusal) from refusal
    return 0


def asked_back(
    state: State,
    lock_timeout: float,
    run: str = "",
    asking: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Pending | None:
    """End the time of the pending change; None if there is no watchdog to undo it.

    ``asking`` encloses the moment from which on it goes back.
    """
    with state.lock(lock_timeout):
        pending = named(state, run)
        if pending is None or not pending.watchdog.alive:
            return None
        with asking():
            state.end_time()
        return pending


@contextmanager
def _asking(environment: Environment) -> Iterator[None]:
    """Let no signal come between the question and what is said of it."""
    with environment.interrupts.shielded():
        yield
        environment.outcome.now = GOING_BACK
        environment.interrupts.checkpoint()


def go_back(session: Session, environment: Environment) -> None:
    """Show the plan back to the last committed state, and carry it out. Raises TproxyError."""
    begun = time.monotonic()
    plan = session.plan_back()
    refuse_impossible(plan)
    environment.reporter.plan(plan_report(plan))

    def gone() -> None:
        environment.outcome.now = GONE_BACK

    session.go_back(plan, environment.interrupts, gone)
    environment.reporter.done("put back", time.monotonic() - begun)
