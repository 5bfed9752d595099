"""The lines of the site file that decide about a connection, from the record of the last apply."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netplan_tproxy.inspect.decision import INTERCEPTED, Flow, Step
from netplan_tproxy.kernel.host.users_cgroups import resolve_users
from netplan_tproxy.state.site_record import Item, SiteRecord

if TYPE_CHECKING:
    from netplan_tproxy.inspect.flow import Question


def deciding(
    record: SiteRecord | None, question: Question, flow: Flow, steps: Sequence[Step], outcome: str
) -> list[dict[str, Any]]:
    """Return the values of the file that decide, with their places; [] if none is on record."""
    if record is None or not steps:
        return []
    last = steps[-1]
    items: list[Item] = []
    if last.outcome == INTERCEPTED:
        for step in steps:
            if step.key.startswith("intercept."):
                items += _of_step(record, step.key, question, flow)
        items += _first(record, f"proxy.{flow.listener}.port", "proxy.port")
        if outcome in {"refused", "down_bypassed"}:
            items += _first(record, "proxy.when_down") or _default(record, "proxy.when_down")
    elif last.outcome == "not_named":
        items = _whole(record, last.key) or _whole(record, f"{last.key}_files")
    elif last.outcome == "no_proxy":
        items = _whole(record, "intercept.protocols")
    elif last.key:
        items = _of_step(record, last.key, question, flow) or _default(record, last.key)
    return [_placed(record, item) for item in items]


def _whole(record: SiteRecord, key: str) -> list[Item]:
    """Return a list as one value, at the place of its first item."""
    items = record.items_below(key)
    if not items:
        return []
    return [replace(items[0], key=key, text=", ".join(item.text for item in items))]


def _default(record: SiteRecord, key: str) -> list[Item]:
    """Return a default value; it has no place in the file."""
    return [Item(key, text, 0, 0) for at, text in record.values if at == key][:1]


def _first(record: SiteRecord, *keys: str) -> list[Item]:
    return [item for key in keys for item in record.items if item.key == key][:1]


def _of_step(record: SiteRecord, key: str, question: Question, flow: Flow) -> list[Item]:
    """Return the item of a list that matches; if none does, the files that the list names."""
    if "[" in key or key == "marks.bypass":
        return _first(record, key)
    matching = [item for item in record.items_below(key) if _holds(key, item.text, question, flow)]
    return matching[:1] or record.items_below(f"{key}_files")


def _holds(key: str, text: str, question: Question, flow: Flow) -> bool:
    what = key.partition(".")[2]
    try:
        if what in {"from", "to"}:
            end = flow.source if what == "from" else flow.target
            return end is not None and ipaddress.ip_address(end) in ipaddress.ip_network(text)
        if what == "ports":
            low, _, high = text.partition("-")
            return int(low) <= flow.port <= int(high or low)
    except ValueError:
        return False
    if what == "users":
        return resolve_users([text]).get(text) == flow.uid
    return f"{question.cgroup}/".startswith(f"{text}/")


def _placed(record: SiteRecord, item: Item) -> dict[str, Any]:
    return {
        "key": item.key,
        "text": item.text,
        "file": record.source,
        "line": item.line or None,
        "column": item.column or None,
        "current": not item.line or _still_says(record.source, item),
    }


def _still_says(path: str, item: Item) -> bool:
    """Whether the file still has the value at that place."""
    try:
        with Path(path).open(encoding="utf-8-sig", errors="replace") as file:
            for number, line in enumerate(_bounded(file), 1):
                if number == item.line:
                    return item.text.partition(", ")[0] in line[item.column - 1 :]
    except OSError:
        return False
    return False


def _bounded(file: Iterable[str]) -> Iterable[str]:
    for number, line in enumerate(file):
        if number > 1_000_000:  # noqa: PLR2004 - it is somebody's file: any size
            return
        yield line
