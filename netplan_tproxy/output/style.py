"""Colours for a terminal, and for nothing else. Pure but for ``wanted``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TextIO

# SGR parameters (ECMA-48, 8.3.117).
_RESET, _BOLD, _DIM, _RED, _GREEN, _YELLOW = 0, 1, 2, 31, 32, 33


class Style:
    """Marks up text where it is ``on``, and leaves it alone where not."""

    def __init__(self, on: bool) -> None:  # noqa: FBT001 - the one argument
        self.on = on

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
    if choice != "auto":
        return Style(on=choice == "always")
    plain = environment.get("NO_COLOR") or environment.get("TERM") == "dumb"
    try:
        return Style(on=not plain and stream is not None and stream.isatty())
    except ValueError:  # the stream is closed
        return PLAIN
