"""Where the schema of the site file is."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from netplan_tproxy.paths import shared

_NAME = "site.schema.json"


def schema_path() -> Path:
    """Return the schema's file: in the installed package, or beside it in a checkout.

    Raises FileNotFoundError if it is in neither place (a broken installation).
    """
    place = shared("schemas") / _NAME
    if place.is_file():
        return place
    message = f"{_NAME}: not found in the package or beside it"
    raise FileNotFoundError(message)


@cache
def site_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the site file, as this program uses it.

    Without what is for editors alone: it would hide what the sections say. Do not change the
    result.
    """
    schema: dict[str, Any] = _for_program(json.loads(schema_path().read_text(encoding="utf-8")))
    return schema


def _for_program(node: Any) -> Any:
    if isinstance(node, list):
        return [_for_program(one) for one in node if not _for_editors(one)]
    if not isinstance(node, dict):
        return node
    changed = {**node, **node.get("x-program", {})}
    kept = {key: _for_program(value) for key, value in changed.items() if value is not None}
    kept.pop("x-program", None)
    if kept.get("allOf") == []:
        del kept["allOf"]
    return kept


def _for_editors(node: Any) -> bool:
    return isinstance(node, dict) and node.get("x-editor") is True
