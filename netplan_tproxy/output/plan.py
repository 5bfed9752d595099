"""Plans as text: ``+``, ``~`` and ``-`` by interface, and one line of counts. Pure."""

from __future__ import annotations

import re

from netplan_tproxy.output.style import PLAIN, Style
from netplan_tproxy.output.text import cut, moment, wrapped
from netplan_tproxy.reconcile.report import SIGNS, Report, plan_report, words
from netplan_tproxy.resource.values import Plan
from netplan_tproxy.system.text import printable

_FIRST = ("host", "lo")
_DIGEST = re.compile(r"\b(set [0-9a-f]{8})[0-9a-f]{8}\b")


def plan_lines(plan: Plan, style: Style = PLAIN) -> list[str]:
    """Give a whole plan for people, the counts last."""
    return lines(plan_report(plan), style)


def lines(report: Report, style: Style = PLAIN) -> list[str]:
    """Give a plan's report for people: by interface, at most 80 columns, the counts last.

    Where nothing but the host is concerned no heading says so.
    """
    paint = {"add": style.add, "change": style.change, "remove": style.remove}
    groups: dict[str, list[str]] = {}
    for change in report["changes"]:
        first, *rest = wrapped(f"{SIGNS[change['action']]} {_shown(change)}")
        sign, text = first[0], first[1:]
        block = [paint[change["action"]](sign) + text, *rest]
        groups.setdefault(change["group"], []).extend(block)
    for left in (*report["present"], *report["kept"]):
        block = wrapped(f"= {left['title']}: {left['why']}")
        groups.setdefault(left["group"], []).extend(style.dim(line) for line in block)
    if groups.keys() <= {"host"}:
        return [*groups.get("host", []), summary(report)]
    found = []
    for group in sorted(groups, key=_place):
        found += [style.bold(f"{group}:"), *groups[group], ""]
    return [*found, summary(report)]


def diff_lines(report: Report, style: Style = PLAIN) -> list[str]:
    """Give ``applied.diff_report`` for people, in the manner of diff(1)."""
    before, after = report["applied"], report["file"]
    when = f", {moment(before['at'])}" if before and before["at"] else ""
    found = [
        style.bold(cut(f"--- applied: {before['file'] if before else 'nothing on record'}{when}")),
        style.bold(cut(f"+++ wanted: {after['file'] if after else 'nothing'}")),
    ]
    paint = {"-": style.remove, "+": style.add}
    for one in report["keys"]:
        block = wrapped(printable(f"{one['sign']} {one['key']}: {one['value']}"))
        found += [paint[one["sign"]](line) for line in block]
    if not report["keys"]:
        found.append("the file says what was applied last")
    return found


def summary(report: Report) -> str:
    """Count what a plan does; ``no changes`` for nothing."""
    counts = report["counts"]
    if not any(counts.values()):
        return "no changes"
    return ", ".join(f"{counts[action]} to {action}" for action in SIGNS)


def _shown(entry: Report) -> str:
    """Of a long value only the parts that differ, and of a digest enough to see that."""
    if entry["action"] != "change":
        return _DIGEST.sub(r"\1", words(entry))
    before, after = entry["parts"]["before"], entry["parts"]["after"]
    gone = [part for part in before if part not in after]
    come = [part for part in after if part not in before]
    ends = {"before": ", ".join(gone) or "none", "after": ", ".join(come) or "none"}
    return _DIGEST.sub(r"\1", words({**entry, **ends}))


def _place(group: str) -> tuple[int, str]:
    return (_FIRST.index(group) if group in _FIRST else len(_FIRST)), group
