"""Colours and width of a terminal, and for nothing else. Pure but for ``wanted``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TextIO

# SGR parameters (ECMA-48, 8.3.117).
_RESET, _BOLD, _DIM, _RED, _GREEN, _YELLOW = 0, 1, 2, 31, 32, 33
USUAL, NARROWEST, WIDEST = 80, 40, 200
# Into a pipe or a file no line is broken or cut: who reads it may search it.
UNBROKEN = 1_000_000


class Style:
    """Marks up text where it is ``on``, and leaves it alone where not.

    ``width`` is in columns; it is asked for again each time, as a terminal may be resized.
    """

    def __init__(self, *, on: bool, width: Callable[[], int] | int = USUAL) -> None:
        self.on = on
        self._width = width

    @property
    def width(self) -> int:
        """How many columns a line may have."""
        return self._width if isinstance(self._width, int) else self._width()

    def inset(self, columns: int) -> Style:
        """Return the style for lines that are printed behind so many columns."""
        return Style(on=self.on, width=lambda: self.width - columns)

    def _sgr(self, parameter: int, text: str) -> str:
        return f"\033[{parameter}m{text}\033[{_RESET}m" if self.on and text else text

    def add(self, text: str) -> str:
        """Mark what a plan adds."""
        return self._sgr(_GREEN, text)

    def change(self, text: str) -> str:
        """Mark what a plan changes."""
        return self._sgr(_YELLOW, text)

    def remove(self, text: str) -> str:
        """Mark what a plan removes."""
        return self._sgr(_RED, text)

    def ok(self, text: str) -> str:
        """Mark what is right."""
        return self._sgr(_GREEN, text)

    def warn(self, text: str) -> str:
        """Mark a warning."""
        return self._sgr(_YELLOW, text)

    def fail(self, text: str) -> str:
        """Mark what is wrong."""
        return self._sgr(_RED, text)

    def dim(self, text: str) -> str:
        """Mark what matters less."""
        return self._sgr(_DIM, text)

    def bold(self, text: str) -> str:
        """Mark a heading."""
        return self._sgr(_BOLD, text)


PLAIN = Style(on=False)


def wanted(
    choice: str, stream: TextIO | None, environment: Mapping[str, str] = os.environ
) -> Style:
    """Return the style for a stream; ``choice`` is auto, always or never.

    auto: on a terminal that is not dumb, unless NO_COLOR is set to anything (no-color.org).
    """
    terminal = stream is not None and _is_terminal(stream)
    width = partial(_columns, stream, environment) if stream and terminal else UNBROKEN
    if choice != "auto":
        return Style(on=choice == "always", width=width)
    plain = environment.get("NO_COLOR") or environment.get("TERM") == "dumb"
    return Style(on=not plain and terminal, width=width)


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # the stream is closed
        return False


def _columns(stream: TextIO, environment: Mapping[str, str]) -> int:
    """Return COLUMNS, or how wide the terminal is: 40 to 200; 80 where it does not say."""
    said = environment.get("COLUMNS", "")
    columns = int(said) if said.isascii() and said.isdigit() and len(said) < len("1000000") else 0
    if not columns:
        try:
            columns = os.get_terminal_size(stream.fileno()).columns
        except (OSError, ValueError):  # it went away, or is none of the system's
            columns = 0
    return min(max(columns or USUAL, NARROWEST), WIDEST)
