"""Plans as text: what they mean, ``+``, ``~`` and ``-`` by interface, a line of counts. Pure."""

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
_LONG_DIGEST = re.compile(r"\b(set [0-9a-f]{8})[0-9a-f]{8}\b")
_DIGEST = re.compile(r"@[0-9a-f]{8,16}\b(?!~)|(?<=\bset) [0-9a-f]{16}\b")
_NEWS = {"add": "new: ", "remove": "no longer: ", "keep": ""}


def plan_lines(plan: Plan, style: Style = PLAIN, *, whole: bool = False) -> list[str]:
    """Return a plan for people, the counts last."""
    return lines(plan_report(plan), style, whole=whole)


def lines(report: Report, style: Style = PLAIN, *, whole: bool = False) -> list[str]:
    """Return a plan's report for people: by interface, the counts last.

    There is no heading if all changes are in the group "host". Unless ``whole``, maps,
    programs and sets that are added (changed, removed) together are one line, without digests.
    """
    paint = {"add": style.add, "change": style.change, "remove": style.remove}
    groups: dict[str, list[str]] = {}
    for change in report["changes"] if whole else _folded(report["changes"]):
        text = f"{SIGNS[change['action']]} {_shown(change, whole=whole)}"
        first, *rest = wrapped(text, style.width)
        sign, text = first[0], first[1:]
        block = [paint[change["action"]](sign) + text, *rest]
        groups.setdefault(change["group"], []).extend(block)
    for left in (*report["present"], *report["kept"]):
        block = wrapped(f"= {left['title']}: {left['why']}", style.width)
        groups.setdefault(left["group"], []).extend(style.dim(line) for line in block)
    if not _has_headings(report):
        return [*groups.get("host", []), summary(report)]
    shown = []
    for group in sorted(groups, key=_place):
        shown += [style.bold(f"{group}:"), *groups[group], ""]
    return [*shown, summary(report)]


def spaced_lines(report: Report, style: Style = PLAIN, *, whole: bool = False) -> list[str]:
    """Return the same for a plan whose meaning stands above it."""
    return [*([""] if _has_headings(report) else []), *lines(report, style, whole=whole)]


def _has_headings(report: Report) -> bool:
    entries = (*report["changes"], *report["present"], *report["kept"])
    return any(entry["group"] != "host" for entry in entries)


def meaning_lines(means: Sequence[Report], style: Style = PLAIN) -> list[str]:
    """Return the lines for ``meaning.difference``; what is new is not said where all is."""
    paint = {"add": style.add, "remove": style.remove, "keep": style.bold}
    mixed = any(one["action"] != "add" for one in means)
    shown: list[str] = []
    for one in means:
        news = _NEWS[one["action"]] if mixed else ""
        text = printable(f"{'  ' * one['detail']}{news}{one['text']}")
        shown += map(paint[one["action"]] if mixed else style.bold, wrapped(text, style.width))
    return shown


def _folded(changes: Sequence[Report]) -> Iterator[Report]:
    """Yield the changes, with those of inner kinds and the same action folded into one."""
    alike = Counter(change["action"] for change in changes if change["kind"] in _INNER)
    folded: set[str] = set()
    for change in changes:
        action = change["action"]
        number = alike[action]
        if change["kind"] not in _INNER or number == 1:
            yield change
        elif action not in folded:
            folded.add(action)
            title = f"{number} BPF programs and maps (-v names them)"
            yield {**change, "title": title, "before": None, "after": None}


def diff_lines(report: Report, style: Style = PLAIN) -> list[str]:
    """Return the lines for ``site_record.diff_report``, in the manner of diff(1)."""
    before, after = report["applied"], report["file"]
    when = f", {moment(before['at'])}" if before and before["at"] else ""
    shown = [
        style.bold(cut(line, style.width))
        for line in (
            f"--- applied: {before['file'] if before else 'nothing on record'}{when}",
            f"+++ wanted: {after['file'] if after else 'nothing'}",
        )
    ]
    paint = {"remove": style.remove, "add": style.add}
    for one in report["keys"]:
        text = f"{SIGNS[one['action']]} {one['key']}: {one['value']}"
        block = wrapped(printable(text), style.width)
        shown += [paint[one["action"]](line) for line in block]
    if not report["keys"]:
        shown.append("the file says what was applied last")
    return shown


def summary(report: Report) -> str:
    """Return the line of counts; ``no changes`` for an empty plan."""
    counts = report["counts"]
    if not any(counts.values()):
        return "no changes"
    return ", ".join(f"{counts[action]} to {action}" for action in SIGNS)


def _shown(entry: Report, *, whole: bool) -> str:
    """Return the words of a change: of an update only the parts that differ."""
    without = _shortened if whole else _without_digests
    if entry["action"] != "change" or entry["before"] is None:
        return without(words(entry))
    before, after = entry["parts"]["before"], entry["parts"]["after"]
    gone = [without(part) for part in before if part not in after]
    come = [without(part) for part in after if part not in before]
    # Two that differ in their digest alone.
    anew = [part for part in come if part in gone]
    gone = [part for part in gone if part not in anew]
    come = [part for part in come if part not in anew]
    said = [f"new {', '.join(anew)}"] if anew else []
    if gone and come:
        said.append(f"{', '.join(gone)} → {', '.join(come)}")
    elif come:
        said.append(f"now also {', '.join(come)}")
    elif gone:
        said.append(f"no longer {', '.join(gone)}")
    return f"{without(entry['title'])}: {'; '.join(said)}" if said else without(words(entry))


def _without_digests(text: str) -> str:
    return _DIGEST.sub("", text)


def _shortened(text: str) -> str:
    return _LONG_DIGEST.sub(r"\1", text)


def _place(group: str) -> tuple[int, str]:
    return (_FIRST.index(group) if group in _FIRST else len(_FIRST)), group
