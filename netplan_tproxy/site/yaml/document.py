"""From YAML text to nodes with positions: bounded, and never a Python object.

Built on the event stream of PyYAML's loaders: their own composer recurses without a bound and
drops the first of two equal keys. A long text goes through libyaml, which reads several times as
fast. What it refuses, and every short text, is PyYAML's to judge: it has the better words, and
refuses some of what libyaml lets pass (``[a: b`` without its end, ``[::1]``).
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from netplan_tproxy.site.yaml.composer import Composer, FatalProblemError, start
from netplan_tproxy.site.yaml.nodes import NOWHERE, Node
from netplan_tproxy.site.yaml.problem import Path, Position, Problem
from netplan_tproxy.site.yaml.syntax_errors import YAML, syntax_problem
from netplan_tproxy.system.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONG = 1 << 16  # characters; PyYAML takes a tenth of a second for as many
_FAST = getattr(yaml, "CSafeLoader", None)  # PyYAML can be built without libyaml
# What YAML 1.1 section 5.1 lets stand in a stream.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Document:
    """The nodes of one file; ``root`` is None for an empty file and after a syntax error.

    ``refused`` are the paths whose values are not to be used.
    """

    root: Node | None
    problems: tuple[Problem, ...]
    refused: frozenset[Path] = frozenset()


def compose(text: str) -> Document:
    """Return the nodes of the one YAML document in ``text``. Raises nothing."""
    forbidden = _FORBIDDEN.search(text)
    if forbidden:
        at = offset_position(text, forbidden.start())
        what = f"character '{printable(forbidden[0])}' is not allowed, expected plain text"
        kind = "a character that is not allowed, expected plain text"
        return Document(None, (Problem(at, YAML, what, kind=kind),))
    if _FAST is not None and len(text) > _LONG:
        with contextlib.suppress(yaml.YAMLError, ValueError, OverflowError):
            return _composed(yaml.parse(text, Loader=_FAST))
    return _composed(_events(text))


def _composed(events: Iterator[yaml.Event]) -> Document:
    """Return what the events say; what they raise is raised."""
    composer = Composer(events)
    try:
        root = composer.document()
    except FatalProblemError as fatal:
        return Document(None, (*composer.problems, fatal.problem))
    return Document(root, tuple(composer.problems), frozenset(composer.refused))


def offset_position(text: str, offset: int) -> Position:
    """Return the position of the character at ``offset``."""
    return Position(text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


def _events(text: str) -> Iterator[yaml.Event]:
    last = NOWHERE
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            last = start(event)
            yield event
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = Position(mark.line + 1, mark.column + 1) if mark else last
        char = text[mark.index : mark.index + 1] if mark else ""
        opened = error.context_mark
        opened_at = Position(opened.line + 1, opened.column + 1) if opened else None
        raise FatalProblemError(syntax_problem(error.problem, at, char, opened_at)) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # PyYAML 6.0 lets chr() and int() fail on "\UFFFFFFFF" and on a %YAML directive with
        # thousands of digits.
        what = "an escape or number is out of range, expected plain text"
        raise FatalProblemError(Problem(last, YAML, what)) from error
