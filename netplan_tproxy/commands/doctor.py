"""``--doctor``: what keeps this host from being a transparent proxy."""

from __future__ import annotations

from netplan_tproxy.commands.options import Environment, Options
from netplan_tproxy.inspect import doctor
from netplan_tproxy.output import doctor as text


def carry_out(options: Options, environment: Environment) -> int:
    """Examine this host. Returns 1 if something fails."""
    reporter = environment.reporter
    report = doctor.examine(options.site, named=options.site_named, state_dir=options.state_dir)
    lines = reporter.rendered(
        report.as_json(), lambda style: text.lines(report, style), report.code
    )
    reporter.show(lines)
    return report.code
