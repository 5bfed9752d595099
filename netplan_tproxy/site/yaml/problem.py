"""One thing wrong at one place of the parsed file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from netplan_tproxy.errors import Place, SiteProblem
from netplan_tproxy.system.text import SHOWN_LENGTH, printable, shown

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the file; both numbers count from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        """Return ``line:column``."""
        return f"{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at ``path``; ``text`` says what, and what would be right.

    ``inside`` is the place in the file that ``path`` names, where what is wrong is in there.
    ``kind`` says the same as ``text`` without a word of the file, where that makes a difference
    and nothing of the file can be used.
    """

    at: Position
    path: Path
    text: str
    inside: Place | None = None
    kind: str = ""

    def in_file(self, source: str) -> SiteProblem:
        """Return it as a problem of the file named ``source``."""
        place = Place(printable(source), self.at.line, self.at.column)
        return SiteProblem(place, dotted(self.path), self.text, self.inside)


def dotted(path: Path) -> str:
    """Return a path as in ``rules[0].table``; the empty path is the whole ``document``."""
    if not path:
        return "document"
    return joined(tuple(part if isinstance(part, int) else _shown_part(part) for part in path))


def joined(path: Path) -> str:
    """Return a path as in ``rules[0].table`` with its parts as they are."""
    words = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path]
    return "".join(words).removeprefix(".")


def _shown_part(part: str) -> str:
    plain = part.isprintable() and part and " " not in part and len(part) <= SHOWN_LENGTH
    return part if plain else shown(part)
