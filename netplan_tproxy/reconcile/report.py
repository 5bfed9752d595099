"""Changes and plans in words, and as values for a printer or a JSON document."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from netplan_tproxy.resource.values import Change, Plan, Resource
from netplan_tproxy.state.pending import Pending
from netplan_tproxy.system.text import printable, rfc3339

Report = Mapping[str, Any]

SIGNS = {"add": "+", "change": "~", "remove": "-"}
_ARROW = " → "


def change_line(change: Change) -> str:
    """Give one change as one line, in the words of ip(8), tc(8) and sysctl(8)."""
    found = _entry(change)
    return f"{SIGNS[found['action']]} {words(found)}"


def plan_report(plan: Plan) -> dict[str, Any]:
    """Give a plan as JSON values, its changes in the order in which they are made."""
    changes = [_entry(change) for change in plan.changes]
    kinds = Counter(change["action"] for change in changes)
    return {
        "changes": changes,
        "present": [_kept(resource, "already there (not ours)") for resource in plan.satisfied],
        "kept": [_kept(resource, f"left as it is: {why}") for resource, why in plan.kept],
        "counts": {action: kinds[action] for action in SIGNS},
    }


def pending_report(pending: Pending) -> dict[str, Any]:
    """Give what waits for confirmation as JSON values; ``deadline`` as in RFC 3339."""
    at = time.time() + pending.left
    return {
        "run": pending.run,
        "at": at,
        "deadline": rfc3339(at),
        "seconds": round(pending.left, 1),
    }


def _entry(change: Change) -> dict[str, Any]:
    action = "change" if change.before and change.after else "add" if change.after else "remove"
    return {
        "action": action,
        "kind": change.id.kind,
        "group": printable(change.subject.group),
        "title": printable(change.subject.title),
        "before": printable(change.before.value) if change.before else None,
        "after": printable(change.after.value) if change.after else None,
        "parts": {
            "before": _parts(change.before),
            "after": _parts(change.after),
        },
    }


def _parts(resource: Resource | None) -> list[str]:
    return [printable(part) for part in resource.parts] if resource else []


def _kept(resource: Resource, why: str) -> dict[str, Any]:
    return {
        "kind": resource.kind, "group": printable(resource.group),
        "title": printable(resource.title), "why": printable(why),
    }  # fmt: skip


def words(entry: Report) -> str:
    """Give an entry of a report: what it is, and how it is or becomes."""
    value = _ARROW.join(entry[end] for end in ("before", "after") if entry[end] is not None)
    return f"{entry['title']}: {value}" if value else str(entry["title"])
