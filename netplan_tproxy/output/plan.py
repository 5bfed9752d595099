"""Plans as text: ``+``, ``~`` and ``-`` by interface, and one line of counts. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from netplan_tproxy.output.style import PLAIN, Style
from netplan_tproxy.output.text import cut, moment, wrapped
from netplan_tproxy.reconcile.report import SIGNS, Report, plan_report, words
from netplan_tproxy.resource.values import Plan
from netplan_tproxy.system.text import printable

_FIRST = ("host", "lo")
# Kinds that mean nothing outside this tool: they are folded into one line.
_INNER = frozenset({"map", "program", "set"})
_DIGEST = re.compile(r"\b(set [0-9a-f]{8})[0-9a-f]{8}\b")


def plan_lines(plan: Plan, style: Style = PLAIN, *, whole: bool = False) -> list[str]:
    """Return a plan for people, the counts last."""
    return lines(plan_report(plan), style, whole=whole)


def lines(report: Report, style: Style = PLAIN, *, whole: bool = False) -> list[str]:
    """Return a plan's report for people: by interface, at most 80 columns, the counts last.

    There is no heading if all changes are in the group "host". Unless ``whole``, maps,
    programs and sets that are added (changed, removed) together are one line.
    """
    paint = {"add": style.add, "change": style.change, "remove": style.remove}
    groups: dict[str, list[str]] = {}
    for change in report["changes"] if whole else _folded(report["changes"]):
        first, *rest = wrapped(f"{SIGNS[change['action']]} {_shown(change)}")
        sign, text = first[0], first[1:]
        block = [paint[change["action"]](sign) + text, *rest]
        groups.setdefault(change["group"], []).extend(block)
    for left in (*report["present"], *report["kept"]):
        block = wrapped(f"= {left['title']}: {left['why']}")
        groups.setdefault(left["group"], []).extend(style.dim(line) for line in block)
    if groups.keys() <= {"host"}:
        return [*groups.get("host", []), summary(report)]
    shown = []
    for group in sorted(groups, key=_place):
        shown += [style.bold(f"{group}:"), *groups[group], ""]
    return [*shown, summary(report)]


def _folded(changes: Sequence[Report]) -> Iterator[Report]:
    """Yield the changes, with those of inner kinds and the same action folded into one."""
    alike: dict[str, Counter[str]] = {}
    for change in changes:
        if change["kind"] in _INNER:
            alike.setdefault(change["action"], Counter())[change["kind"]] += 1
    folded: set[str] = set()
    for change in changes:
        action = change["action"]
        counts = alike.get(action, Counter())
        if change["kind"] not in _INNER or counts.total() == 1:
            yield change
        elif action not in folded:
            folded.add(action)
            parts = [f"{counts[kind]} {kind}{'s' * (counts[kind] > 1)}" for kind in counts]
            title = f"datapath: {', '.join(parts)}"
            yield {**change, "title": title, "before": None, "after": None}


def diff_lines(report: Report, style: Style = PLAIN) -> list[str]:
    """Return the lines for ``site_record.diff_report``, in the manner of diff(1)."""
    before, after = report["applied"], report["file"]
    when = f", {moment(before['at'])}" if before and before["at"] else ""
    shown = [
        style.bold(cut(f"--- applied: {before['file'] if before else 'nothing on record'}{when}")),
        style.bold(cut(f"+++ wanted: {after['file'] if after else 'nothing'}")),
    ]
    paint = {"-": style.remove, "+": style.add}
    for one in report["keys"]:
        block = wrapped(printable(f"{one['sign']} {one['key']}: {one['value']}"))
        shown += [paint[one["sign"]](line) for line in block]
    if not report["keys"]:
        shown.append("the file says what was applied last")
    return shown


def summary(report: Report) -> str:
    """Return the line of counts; ``no changes`` for an empty plan."""
    counts = report["counts"]
    if not any(counts.values()):
        return "no changes"
    return ", ".join(f"{counts[action]} to {action}" for action in SIGNS)


def _shown(entry: Report) -> str:
    """Return the words of a change: only the parts that differ, digests cut to 8 digits."""
    if entry["action"] != "change" or entry["before"] is None:
        return _DIGEST.sub(r"\1", words(entry))
    before, after = entry["parts"]["before"], entry["parts"]["after"]
    gone = [part for part in before if part not in after]
    come = [part for part in after if part not in before]
    ends = {"before": ", ".join(gone) or "none", "after": ", ".join(come) or "none"}
    return _DIGEST.sub(r"\1", words({**entry, **ends}))


def _place(group: str) -> tuple[int, str]:
    return (_FIRST.index(group) if group in _FIRST else len(_FIRST)), group
