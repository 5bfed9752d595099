"""``--explain``: what would become of a connection, and which line of the file decides."""

from __future__ import annotations

from netplan_tproxy.commands.options import Environment, Options
from netplan_tproxy.commands.plan import untouched
from netplan_tproxy.errors import KernelError
from netplan_tproxy.inspect import explain
from netplan_tproxy.kernel.host.capabilities import require_privileges
from netplan_tproxy.output import explain as text
from netplan_tproxy.reconcile.session import opened


def carry_out(options: Options, environment: Environment) -> int:
    """Show the report. Raises TproxyError."""
    require_privileges()
    reporter, question = environment.reporter, options.question
    assert question is not None  # noqa: S101 - the command line asked it
    try:
        with opened(options.state_dir, reporter.say, environment.interrupts) as session:
            report = explain.report(session.kernel, session.kinds, session.state, question)
    except KernelError as refusal:
        raise untouched(refusal) from refusal
    reporter.show(reporter.rendered(report, lambda style: text.lines(report, style)))
    return 0
