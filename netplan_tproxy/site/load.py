"""From a site file to a ``Site``, or to all of its problems at once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from netplan_tproxy.errors import Place, SiteError, SiteProblem
from netplan_tproxy.site.build import build
from netplan_tproxy.site.recognition import looks_like_a_site_file, without_quotes
from netplan_tproxy.site.schema.problems import schema_problems
from netplan_tproxy.site.yaml.document import compose
from netplan_tproxy.site.yaml.nodes import NOWHERE, Mapping
from netplan_tproxy.site.yaml.problem import Problem
from netplan_tproxy.site.yaml.source import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netplan_tproxy.site.model import Site
    from netplan_tproxy.site.yaml.document import Document
    from netplan_tproxy.site.yaml.problem import Path, Position


def load(path: str | os.PathLike[str]) -> Site:
    """Return the checked site file at ``path``, with defaults filled in.

    Raises SiteError with every problem of the file, sorted by position; a file that cannot be
    read as text has one, without a position. Each says what is wrong and what would be right.
    """
    source = os.fspath(path)
    return parse(read_text(source), source)


def parse(text: str, source: str) -> Site:
    """Return the ``Site`` that ``text`` describes; ``source`` is its name in messages.

    Raises SiteError as ``load`` does.
    """
    document = compose(text)
    site, problems = _site(document, source)
    if site is None or problems:
        if not looks_like_a_site_file(text, document.root):
            problems = without_quotes(problems, document.root)
        raise SiteError(_ordered(problems, source))
    return site


def _site(document: Document, source: str) -> tuple[Site | None, list[Problem]]:
    if document.root is None:
        return None, [*document.problems] or [_EMPTY]
    problems = [
        *document.problems,
        *(
            problem
            for problem in schema_problems(document.root)
            if problem.path not in document.refused
        ),
    ]
    if not isinstance(document.root, Mapping):
        return None, problems
    bad = frozenset(problem.path for problem in problems)
    site, wrong = build(document.root, bad, source)
    return site, [*problems, *wrong]


_EMPTY = Problem(
    NOWHERE, (), "is empty, expected something like 'version: 1' and keys interfaces, proxy"
)


def _ordered(problems: Iterable[Problem], source: str) -> list[SiteProblem]:
    """Return the problems by position; of several at one place and path, the first."""
    first: dict[tuple[Position, Path, Place | None], Problem] = {}
    for problem in problems:
        first.setdefault((problem.at, problem.path, problem.inside), problem)
    ordered = sorted(first.values(), key=lambda problem: problem.at)
    by_line: dict[str, SiteProblem] = {}  # a file that is named twice is wrong once
    for problem in ordered:
        placed = problem.in_file(source)
        by_line.setdefault(str(placed), placed)
    return list(by_line.values())
