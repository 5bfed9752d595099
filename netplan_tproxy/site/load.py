"""A site file to a ``Site``, or every problem of it at once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from netplan_tproxy.errors import SiteError
from netplan_tproxy.site.build import build
from netplan_tproxy.site.schema.shape import shape_problems
from netplan_tproxy.site.yaml.document import compose
from netplan_tproxy.site.yaml.nodes import NOWHERE, Mapping
from netplan_tproxy.site.yaml.problem import Problem
from netplan_tproxy.site.yaml.source import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netplan_tproxy.site.model import Site
    from netplan_tproxy.site.yaml.problem import Path, Position


def load(path: str | os.PathLike[str]) -> Site:
    """Return the checked site file at ``path``, with defaults filled in.

    Raises SiteError with every problem of the file, sorted by position, one line
    ``file:line:column: path: what is wrong, what would be right`` each; a file that cannot be
    read as text gives the one line ``file: what is wrong, what would be right``.
    """
    source = os.fspath(path)
    return parse(read_text(source), source)


def parse(text: str, source: str) -> Site:
    """Return the ``Site`` that ``text`` describes; ``source`` is its name in messages.

    Raises SiteError as ``load`` does.
    """
    document = compose(text)
    if document.root is None:
        raise SiteError(_lines(document.problems or (_EMPTY,), source))
    shape = shape_problems(document.root)
    found = [
        *document.problems,
        *(problem for problem in shape if problem.path not in document.refused),
    ]
    if not isinstance(document.root, Mapping):
        raise SiteError(_lines(found, source))
    bad = frozenset(problem.path for problem in found)
    site, wrong = build(document.root, bad, source)
    if found or wrong:
        raise SiteError(_lines((*found, *wrong), source))
    return site


_EMPTY = Problem(NOWHERE, (), "is empty, would be such as 'version: 1' and keys interfaces, proxy")


def _lines(problems: Iterable[Problem], source: str) -> list[str]:
    """Return finished lines by position; of several on one place and path, the first found."""
    first: dict[tuple[Position, Path], Problem] = {}
    for problem in problems:
        first.setdefault((problem.at, problem.path), problem)
    ordered = sorted(first.values(), key=lambda problem: problem.at)
    return list(dict.fromkeys(problem.line_for(source) for problem in ordered))
