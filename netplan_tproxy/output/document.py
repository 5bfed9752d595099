"""The JSON document of a run, as schemas/output.schema.json describes it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from netplan_tproxy.errors import SiteError, SiteProblem, TproxyError

FORMAT = 1


def envelope(mode: str, code: int, body: Mapping[str, object], *, in_lines: bool = False) -> str:
    """Return the document of one run; ``code`` is its exit code; ``in_lines``: on one line."""
    whole = {"format": FORMAT, "mode": mode, "exit": code, "errors": [], **body}
    return json.dumps(whole, ensure_ascii=False, indent=None if in_lines else 1)


def errors_of(error: TproxyError) -> list[dict[str, Any]]:
    """Return what went wrong, an entry a line of the message, each with its code."""
    if isinstance(error, SiteError):
        return [{"code": error.code, **_problem(problem)} for problem in error.shown]
    nowhere = {"file": None, "line": None, "column": None}
    lines = str(error).splitlines()
    return [{"code": error.code, "message": line, **nowhere} for line in lines]


def _problem(problem: SiteProblem) -> dict[str, Any]:
    """Return a problem with its place: of what is in a file that the site file names, there."""
    place = problem.inside or problem.place
    parts = [] if problem.inside else [problem.path]
    return {
        "message": ": ".join(part for part in (*parts, problem.message) if part),
        "file": place.file,
        "line": place.line or None,
        "column": place.column or None,
    }
