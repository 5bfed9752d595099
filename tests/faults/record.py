"""What a state directory says, read without the tool."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab import Snapshot


def on_record(state: Path) -> Snapshot:
    """What is ours, and which runs are not over: a file may stay that is of one that is."""
    ledger = _first(state / "ledger.json")
    waiting = {name: _first(state / name) for name in ("journal.jsonl", "pending.json")}
    return {
        "ledger": sorted(json.dumps(one) for one in ledger.get("owned", [])),
        "state": [
            name
            for name, values in waiting.items()
            if values and values.get("run") != ledger.get("run")
        ],
    }


def _first(path: Path) -> dict[str, Any]:
    """The first value in a file; none where there is none, or half of one."""
    try:
        values, _ = json.JSONDecoder().raw_decode(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return dict(values)
