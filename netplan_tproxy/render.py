"""Plans as text: ``+``, ``~`` and ``-``, and one line of counts. Pure."""

from __future__ import annotations

from collections import Counter

from netplan_tproxy.model import Change, Plan


def change_line(change: Change) -> str:
    """Give one change as one line, in the words of ip(8), tc(8) and sysctl(8)."""
    subject = change.subject
    if change.before is None:
        value = f": {subject.value}" if subject.value else ""
        return f"+ {subject.title}{value}"
    if change.after is None:
        value = f": {subject.value}" if subject.value else ""
        return f"- {subject.title}{value}"
    return f"~ {subject.title}: {change.before.value} → {change.after.value}"


def plan_lines(plan: Plan) -> list[str]:
    """Give a whole plan, the summary last."""
    lines = [change_line(change) for change in plan.changes]
    lines += [f"= {resource.title}: already there (not ours)" for resource in plan.satisfied]
    lines += [f"= {resource.title}: left as it is: {why}" for resource, why in plan.kept]
    return [*lines, summary(plan)]


def summary(plan: Plan) -> str:
    """Count what a plan does; ``no changes`` for nothing."""
    if not plan.changes:
        return "no changes"
    kinds = Counter(_sort(change) for change in plan.changes)
    parts = [f"{kinds[word]} to {word}" for word in ("add", "change", "remove")]
    return ", ".join(parts)


def _sort(change: Change) -> str:
    if change.before is None:
        return "add"
    return "remove" if change.after is None else "change"
