"""Files of which each line is a value: networks, routes.

Whoever may name the site file to somebody with more rights may name any file here. So what is
said of a file is its name, lines and kinds of mistakes, and never a word of what is in it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Generic, TypeVar

from netplan_tproxy.errors import Place
from netplan_tproxy.site.yaml.problem import Problem
from netplan_tproxy.site.yaml.source import MEBIBYTE, UnfitFileError, read_stored
from netplan_tproxy.system.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from netplan_tproxy.site.yaml.problem import Path, Position

MAX_BYTES = 16 * MEBIBYTE  # of one file
MAX_TOTAL_BYTES = 2 * MAX_BYTES  # of all that a site file names: 2 million networks, 15 s
SHOWN_LINES = 5
MOST_WRONG_LINES = 100_000

_Value = TypeVar("_Value")


class UnfitLineError(ValueError):
    """What is wrong with a line; ``kind`` is the end of a message, without a word of it."""

    def __init__(self, kind: str) -> None:
        """Take it."""
        super().__init__(kind)
        self.kind = kind


class ListedFiles(Generic[_Value]):
    """Reads the files that one site file names for one purpose.

    ``parse`` makes a value of a line (or raises UnfitLineError), given its place; ``what`` names
    one such value, ``many`` several.
    """

    def __init__(
        self, source: str, what: str, many: str, parse: Callable[[str, Place], _Value]
    ) -> None:
        """Take the path of the site file, beside which they are."""
        self._source = source
        self._what = what
        self._many = many
        self._parse = parse
        self._left = MAX_TOTAL_BYTES

    def read(self, name: str, at: Position, path: Path) -> tuple[list[_Value], list[Problem]]:
        """Return the values in a file in its order, and what is wrong with it.

        ``path`` is the place in the site file that names it, at ``at``. Blank lines and what
        follows a ``#`` count for nothing.
        """
        file = os.path.join(os.path.dirname(self._source), name)  # noqa: PTH118, PTH120
        try:
            text = self._text(file)
        except UnfitFileError as unfit:
            return [], [Problem(at, path, f"{printable(file)}: {unfit}")]
        values, wrong = self._lines(text, printable(file))
        shown = [Problem(at, path, message, place) for place, message in wrong[:SHOWN_LINES]]
        more = len(wrong) - SHOWN_LINES
        if more > 0:
            least = "at least " if len(wrong) == MOST_WRONG_LINES else ""
            lines = f"{least}{more} more line{'s are' if more > 1 else ' is'} wrong"
            message = f"{lines}, expected one {self._what} a line"
            shown.append(Problem(at, path, message, Place(printable(file))))
        return values, shown

    def _text(self, file: str) -> str:
        data = b""
        if self._left >= 0:
            data = read_stored(file, MAX_BYTES, f"one {self._what} a line")
            self._left -= len(data)
        if self._left < 0:
            limit = f"{MAX_TOTAL_BYTES // MEBIBYTE} MiB"
            message = (
                f"makes more than {limit} with the files before it, expected fewer {self._many}"
            )
            raise UnfitFileError(message)
        if b"\0" in data:
            message = (
                f"is a binary file, it holds NUL bytes, expected text with one {self._what} a line"
            )
            raise UnfitFileError(message)
        # Whatever stands in a comment is nobody's business.
        return data.decode("utf-8-sig", "replace")

    def _lines(self, text: str, file: str) -> tuple[list[_Value], list[tuple[Place, str]]]:
        """Return the values, and place and message of the first wrong lines."""
        values: list[_Value] = []
        wrong: list[tuple[Place, str]] = []
        for number, line in enumerate(text.split("\n"), 1):
            words = line.partition("#")[0].strip()
            if not words:
                continue
            place = Place(file, number)
            try:
                values.append(self._parse(words, place))
            except UnfitLineError as unfit:
                wrong.append((place, unfit.kind))
                if len(wrong) == MOST_WRONG_LINES:
                    break
        return values, wrong
