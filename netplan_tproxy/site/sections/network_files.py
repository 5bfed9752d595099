"""Files of networks, one a line.

Whoever may name the site file to somebody with more rights may name any file here. So what is
said of a file is its name, lines and kinds of mistakes, and never a word of what is in it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from netplan_tproxy.errors import Place
from netplan_tproxy.site.sections.networks import UnfitNetworkError, parse_network
from netplan_tproxy.site.yaml.problem import Problem
from netplan_tproxy.site.yaml.source import MEBIBYTE, UnfitFileError, read_stored
from netplan_tproxy.system.text import printable

if TYPE_CHECKING:
    from netplan_tproxy.site.sections.networks import Network
    from netplan_tproxy.site.yaml.problem import Path, Position

MAX_BYTES = 16 * MEBIBYTE  # of one file
MAX_TOTAL_BYTES = 2 * MAX_BYTES  # of all that a site file names: 2 million networks, 15 s
SHOWN_LINES = 5
MOST_WRONG_LINES = 100_000


class NetworkFiles:
    """Reads the files that one site file names."""

    def __init__(self, source: str) -> None:
        """Take the path of the site file, beside which they are."""
        self._source = source
        self._left = MAX_TOTAL_BYTES

    def read(self, name: str, at: Position, path: Path) -> tuple[list[Network], list[Problem]]:
        """Return the networks in a file in its order, and what is wrong with it.

        ``path`` is the place in the site file that names it, at ``at``. Blank lines and what
        follows a ``#`` count for nothing.
        """
        file = os.path.join(os.path.dirname(self._source), name)  # noqa: PTH118, PTH120
        try:
            text = self._text(file)
        except UnfitFileError as unfit:
            return [], [Problem(at, path, f"{printable(file)}: {unfit}")]
        networks, wrong = _parse(text)
        shown = [
            Problem(at, path, message, Place(printable(file), line))
            for line, message in wrong[:SHOWN_LINES]
        ]
        more = len(wrong) - SHOWN_LINES
        if more > 0:
            least = "at least " if len(wrong) == MOST_WRONG_LINES else ""
            lines = f"{least}{more} more line{'s are' if more > 1 else ' is'} wrong"
            message = f"{lines}, expected one network a line"
            shown.append(Problem(at, path, message, Place(printable(file))))
        return networks, shown

    def _text(self, file: str) -> str:
        data = b""
        if self._left >= 0:
            data = read_stored(file, MAX_BYTES, "one network a line")
            self._left -= len(data)
        if self._left < 0:
            limit = f"{MAX_TOTAL_BYTES // MEBIBYTE} MiB"
            message = f"makes more than {limit} with the files before it, expected fewer networks"
            raise UnfitFileError(message)
        if b"\0" in data:
            message = "is a binary file, it holds NUL bytes, expected text with one network a line"
            raise UnfitFileError(message)
        # Whatever stands in a comment is nobody's business.
        return data.decode("utf-8-sig", "replace")


def _parse(text: str) -> tuple[list[Network], list[tuple[int, str]]]:
    """Return the networks, and number and message of the first wrong lines."""
    networks: list[Network] = []
    wrong: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        word = line.partition("#")[0].strip()
        if not word:
            continue
        try:
            networks.append(parse_network(word))
        except UnfitNetworkError as unfit:
            wrong.append((number, unfit.kind))
            if len(wrong) == MOST_WRONG_LINES:
                break
    return networks, wrong
