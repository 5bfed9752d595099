"""``--rollback``: take back what awaits its confirmation, or what a killed run began."""

from __future__ import annotations

from netplan_tproxy.commands import confirm
from netplan_tproxy.commands.options import Environment, Options
from netplan_tproxy.commands.plan import untouched
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.host.capabilities import require_privileges
from netplan_tproxy.kernel.host.netns import netns_cookie
from netplan_tproxy.kinds import all_kinds
from netplan_tproxy.reconcile.report import plan_report
from netplan_tproxy.reconcile.session import Session, opened, refuse_impossible
from netplan_tproxy.state.state import State


def carry_out(options: Options, environment: Environment) -> int:
    """Take it back. Raises TproxyError when there is nothing to take back."""
    require_privileges()
    say, interrupts = environment.reporter.say, environment.interrupts
    state = State(options.state_dir, netns_cookie(), all_kinds())
    if confirm.rollback(state, options.lock_timeout, say):
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


def go_back(session: Session, environment: Environment) -> None:
    """Lead the kernel back to the last committed state, and show how. Raises TproxyError."""
    plan = session.plan_back()
    refuse_impossible(plan)
    environment.reporter.plan(plan_report(plan))
    session.go_back(plan, environment.interrupts)
