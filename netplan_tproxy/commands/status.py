"""``--status``: show what is set up here, and what it is doing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from netplan_tproxy.commands.options import DIFFERS, UNHEARD, Environment, Options
from netplan_tproxy.commands.plan import untouched
from netplan_tproxy.errors import KernelError
from netplan_tproxy.inspect import status
from netplan_tproxy.kernel.host.capabilities import require_privileges
from netplan_tproxy.output import status as text
from netplan_tproxy.output.keys import Blind, keys
from netplan_tproxy.output.screen import Line, watch
from netplan_tproxy.reconcile.drift import drift
from netplan_tproxy.reconcile.session import Session, opened

# Seconds over which rates are measured without --watch.
MOMENT = 0.25
_MANY = 1000


def carry_out(options: Options, environment: Environment) -> int:
    """Show the report, with ``--watch`` again and again. Raises TproxyError.

    Returns what ``_code`` says; 0 when somebody has watched.
    """
    require_privileges()
    reporter, interrupts = environment.reporter, environment.interrupts
    try:
        with opened(options.state_dir, reporter.say, interrupts) as session:
            before, code = status.count(session.kernel), 0

            def looked() -> dict[str, Any]:
                nonlocal before, code
                report = status_report(session, options.site, before, verbose=options.verbose)
                before, code = status.count(session.kernel), _code(report, options)
                return report

            def rendered() -> Sequence[str]:
                report = looked()
                return reporter.rendered(
                    report, lambda style: text.lines(report, style, verbose=options.verbose), code
                )

            def picture() -> Sequence[Line]:
                if reporter.in_place:
                    return text.ranked(looked(), reporter.style, verbose=options.verbose)
                return list(map(Line, rendered()))

            if options.watch is None:
                reporter.show(rendered())
            else:
                with keys() if reporter.in_place else nullcontext(Blind()) as waiting:
                    watch(
                        picture, lambda line: reporter.show([line]), interrupts, waiting,
                        interval=options.watch, in_place=reporter.in_place,
                        between=reporter.between,
                    )  # fmt: skip
    except KernelError as refusal:
        raise untouched(refusal) from refusal
    return code if options.watch is None else 0


def _code(report: Mapping[str, Any], options: Options) -> int:
    """Return what a script goes by: 0, the kernel differs from the file, nobody listens."""
    if not report["set_up"]:
        return DIFFERS if options.site_named else 0
    drift = report["drift"]
    if drift is None or drift["why"] or drift["conflicts"] or sum(drift["counts"].values()):
        return DIFFERS
    return 0 if all(status.serves(one) for one in report["listeners"]) else UNHEARD


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
