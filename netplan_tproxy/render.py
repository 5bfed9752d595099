"""Plans as text: ``+``, ``~`` and ``-`` by interface, and one line of counts. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from netplan_tproxy.model import Change, Plan, Resource
from netplan_tproxy.site.problem import printable
from netplan_tproxy.style import PLAIN, Style
from netplan_tproxy.tables import cut, moment, wrapped

Report = Mapping[str, Any]

_SIGNS = {"add": "+", "change": "~", "remove": "-"}
_ARROW = " → "
_FIRST = ("host", "lo")
_DIGEST = re.compile(r"\b(set [0-9a-f]{8})[0-9a-f]{8}\b")


def change_line(change: Change) -> str:
    """Give one change as one line, in the words of ip(8), tc(8) and sysctl(8)."""
    found = _entry(change)
    return f"{_SIGNS[found['action']]} {_words(found)}"


def plan_report(plan: Plan) -> dict[str, Any]:
    """Give a plan as JSON values, its changes in the order in which they are made."""
    changes = [_entry(change) for change in plan.changes]
    kinds = Counter(change["action"] for change in changes)
    return {
        "changes": changes,
        "present": [_kept(resource, "already there (not ours)") for resource in plan.satisfied],
        "kept": [_kept(resource, f"left as it is: {why}") for resource, why in plan.kept],
        "counts": {action: kinds[action] for action in _SIGNS},
    }


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
        first, *rest = wrapped(f"{_SIGNS[change['action']]} {_shown(change)}")
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
    return ", ".join(f"{counts[action]} to {action}" for action in _SIGNS)


def _entry(change: Change) -> dict[str, Any]:
    action = "change" if change.before and change.after else "add" if change.after else "remove"
    return {
        "action": action,
        "kind": change.id.kind,
        "group": change.subject.group,
        "title": change.subject.title,
        "before": change.before.value if change.before else None,
        "after": change.after.value if change.after else None,
    }


def _kept(resource: Resource, why: str) -> dict[str, Any]:
    return {
        "kind": resource.kind, "group": resource.group, "title": resource.title, "why": why,
    }  # fmt: skip


def _words(entry: Report) -> str:
    value = _ARROW.join(entry[end] for end in ("before", "after") if entry[end] is not None)
    return f"{entry['title']}: {value}" if value else str(entry["title"])


def _shown(entry: Report) -> str:
    """Of a long value only the parts that differ, and of a digest enough to see that."""
    if entry["action"] != "change":
        return _DIGEST.sub(r"\1", _words(entry))
    before, after = (entry[end].split(", ") for end in ("before", "after"))
    gone = [part for part in before if part not in after]
    come = [part for part in after if part not in before]
    ends = {"before": ", ".join(gone) or "none", "after": ", ".join(come) or "none"}
    return _DIGEST.sub(r"\1", _words({**entry, **ends}))


def _place(group: str) -> tuple[int, str]:
    return (_FIRST.index(group) if group in _FIRST else len(_FIRST)), group
