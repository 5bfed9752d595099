"""The JSON document of a run, as schemas/output.schema.json describes it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from netplan_tproxy.errors import SiteError, SiteProblem, TproxyError

FORMAT = 1


def envelope(mode: str, code: int, body: Mapping[str, object], *, in_lines: bool = False) -> str:
    """Return the document of one run; ``code`` is its exit code; ``in_lines``: on one line."""
    whole = {"format": FORMAT, "mode": mode, "exit": code, **body}
    return json.dumps(whole, ensure_ascii=False, indent=None if in_lines else 1)


def errors_of(error: TproxyError) -> list[dict[str, Any]]:
    """Return what went wrong, an entry a line of the message, each with its code."""
    if isinstance(error, SiteError):
        return [{"code": error.code, **_problem(problem)} for problem in error.shown]
    return [{"code": error.code, "message": line} for line in str(error).splitlines()]


def _problem(problem: SiteProblem) -> dict[str, Any]:
    """Return the place of a problem beside its message, if it has one in the site file."""
    place = problem.place
    if problem.inside or not place.line:
        return {"message": str(problem)}
    return {
        "message": f"{problem.path}: {problem.message}",
        "file": place.file,
        "line": place.line,
        "column": place.column,
    }
