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
    """Return the JSON Schema (draft 2020-12) of the site file. Do not change the result."""
    schema: dict[str, Any] = json.loads(schema_path().read_text(encoding="utf-8"))
    return schema
