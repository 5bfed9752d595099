"""One thing wrong in a site file, and how it is written for the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

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

    ``inside`` is ``file`` or ``file:line`` of what is wrong in a file that ``path`` names.
    """

    at: Position
    path: Path
    text: str
    inside: str = ""

    def line_for(self, source: str) -> str:
        """Return the finished line ``file:line:column: path: text``, or ``inside: text``."""
        if self.inside:
            return f"{printable(self.inside)}: {self.text}"
        return f"{printable(source)}:{self.at}: {dotted(self.path)}: {self.text}"


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
