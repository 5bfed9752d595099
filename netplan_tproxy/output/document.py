"""Runs as JSON: one document on standard output, described by schemas/output.schema.json. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from netplan_tproxy.errors import SiteError, TproxyError

FORMAT = 1
_PLACE = re.compile(r"^(?P<file>.+?):(?P<line>\d+):(?P<column>\d+): (?P<message>.*)$", re.DOTALL)


def envelope(mode: str, code: int, body: Mapping[str, object]) -> str:
    """Give the document of one run; ``code`` is its exit code."""
    whole = {"format": FORMAT, "mode": mode, "exit": code, **body}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def errors_of(error: TproxyError) -> list[dict[str, Any]]:
    """Give what went wrong, an entry a line of the message, each with a stable code."""
    found = []
    for line in str(error).splitlines():
        entry: dict[str, Any] = {"code": error.code, "message": line}
        place = _PLACE.match(line) if isinstance(error, SiteError) else None
        if place:
            entry |= {
                "message": place["message"],
                "file": place["file"],
                "line": int(place["line"]),
                "column": int(place["column"]),
            }
        found.append(entry)
    return found
