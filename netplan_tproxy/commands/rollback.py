"""``--rollback [RUN]``: take back what awaits its confirmation, or what a killed run began."""

from __future__ import annotations

import time

from netplan_tproxy.commands.held import gone_back, named
from netplan_tproxy.commands.options import Environment, Options
from netplan_tproxy.commands.plan import untouched
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.host.capabilities import require_privileges
from netplan_tproxy.kernel.host.netns import netns_cookie
from netplan_tproxy.kinds import all_kinds
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
    pending = asked_back(state, options.lock_timeout, options.run)
    if pending is not None:
        with state.pending_mark() as mark:
            say(put_back(gone_back(state, pending, mark)))
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


def asked_back(state: State, lock_timeout: float, run: str = "") -> Pending | None:
    """End the time of the pending change; None if there is no watchdog to undo it."""
    with state.lock(lock_timeout):
        pending = named(state, run)
        if pending is None or not pending.watchdog.alive:
            return None
        state.hold(pending.ledger, pending.site, 0.0, pending.watchdog)
        return pending


def go_back(session: Session, environment: Environment) -> None:
    """Show the plan back to the last committed state, and carry it out. Raises TproxyError."""
    begun = time.monotonic()
    plan = session.plan_back()
    refuse_impossible(plan)
    environment.reporter.plan(plan_report(plan))
    session.go_back(plan, environment.interrupts)
    environment.reporter.done("put back", time.monotonic() - begun)
