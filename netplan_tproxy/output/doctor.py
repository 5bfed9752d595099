"""The report of ``--doctor`` for people. Pure."""

from __future__ import annotations

from netplan_tproxy.inspect.doctor.finding import FAIL, OK, UNSEEN, WARN, Report
from netplan_tproxy.output.style import PLAIN, Style
from netplan_tproxy.output.text import wrapped
from netplan_tproxy.system.text import printable

_SIGNS = {OK: "ok", WARN: "warn", FAIL: "FAIL", UNSEEN: "?"}
_COLUMN = 6


def lines(report: Report, style: Style = PLAIN) -> list[str]:
    """Return the findings by group, each with its advice, and a line of counts."""
    paint = {OK: style.ok, WARN: style.warn, FAIL: style.fail, UNSEEN: style.dim}
    shown = []
    group = ""
    for finding in report.findings:
        if finding.group != group:
            group = finding.group
            shown.append(style.bold(group))
        sign = _SIGNS[finding.level]
        first, *rest = wrapped(printable(finding.text), style.width - _COLUMN - 2, "")
        shown.append(f"  {paint[finding.level](sign)}{' ' * (_COLUMN - len(sign))}{first}")
        shown += [" " * (_COLUMN + 2) + line for line in rest]
        if finding.advice:
            advice = wrapped(f"→ {printable(finding.advice)}", style.width - _COLUMN - 2, "  ")
            shown += [" " * (_COLUMN + 2) + line for line in advice]
    return [*shown, "", *wrapped(summary(report), style.width, "")]


def summary(report: Report) -> str:
    """Return the counts as one line."""
    warnings, unknown = report.count(WARN), report.count(UNSEEN)
    parts = [
        f"{report.count(OK)} ok",
        f"{report.count(FAIL)} failed",
        f"{warnings} warning{'' if warnings == 1 else 's'}",
    ]
    parts += [f"{unknown} unknown"] if unknown else []
    return f"{report.site or 'no site file'}: {', '.join(parts)}"
