"""``--status``: what is set up here, and what it does at the moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netplan_tproxy.commands.options import Environment, Options
from netplan_tproxy.commands.plan import untouched
from netplan_tproxy.errors import KernelError
from netplan_tproxy.inspect import status
from netplan_tproxy.kernel.host.capabilities import require_privileges
from netplan_tproxy.output import status as text
from netplan_tproxy.output.screen import watch
from netplan_tproxy.reconcile.drift import drift
from netplan_tproxy.reconcile.session import Session, opened

# Seconds over which rates are measured without --watch.
MOMENT = 0.25
_MANY = 1000


def carry_out(options: Options, environment: Environment) -> int:
    """Show the report, with ``--watch`` again and again. Raises TproxyError."""
    require_privileges()
    reporter, interrupts = environment.reporter, environment.interrupts
    try:
        with opened(options.state_dir, reporter.say, interrupts) as session:
            before = status.count(session.kernel)

            def picture() -> Sequence[str]:
                nonlocal before
                report = status_report(session, options.site, before, verbose=options.verbose)
                before = status.count(session.kernel)
                return reporter.rendered(
                    report, lambda style: text.lines(report, style, verbose=options.verbose)
                )

            if options.watch is None:
                reporter.show(picture())
            else:
                watch(
                    picture, lambda line: reporter.show([line]), interrupts,
                    interval=options.watch, in_place=reporter.in_place,
                )  # fmt: skip
    except KernelError as refusal:
        raise untouched(refusal) from refusal
    return 0


def status_report(
    session: Session, site: str, before: status.Counted, *, verbose: bool
) -> dict[str, Any]:
    """Return the report; rates are measured since ``before``. Raises TproxyError."""
    kernel, state = session.kernel, session.state
    difference = None if status.nothing_is_set_up(kernel, state) else drift(session, site)
    most = _MANY if verbose else status.MOST_FLOWS
    return status.report(
        kernel, session.kinds, state, before, difference, most_flows=most, moment=MOMENT
    )
