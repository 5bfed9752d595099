"""Files of networks, one a line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from netplan_tproxy.errors import Place
from netplan_tproxy.site.sections.networks import parse_network
from netplan_tproxy.site.yaml.problem import Problem
from netplan_tproxy.site.yaml.source import UnfitFileError, read_regular
from netplan_tproxy.system.text import printable

if TYPE_CHECKING:
    from netplan_tproxy.site.sections.networks import Network
    from netplan_tproxy.site.yaml.problem import Path, Position

SHOWN_LINES = 20


def read_network_file(path: str, at: Position, named: Path) -> tuple[list[Network], list[Problem]]:
    """Return the networks in the file at ``path`` in its order, and what is wrong with it.

    ``named`` is the place in the site file that names it, at ``at``. Blank lines and what
    follows a ``#`` count for nothing.
    """
    try:
        text = _text(path)
    except UnfitFileError as unfit:
        return [], [Problem(at, named, f"{printable(path)}: {unfit}")]
    name = printable(path)
    networks: list[Network] = []
    wrong: list[Problem] = []
    more = 0
    for number, line in enumerate(text.split("\n"), 1):
        word = line.partition("#")[0].strip()
        if not word:
            continue
        try:
            networks.append(parse_network(word))
        except ValueError as error:
            if len(wrong) < SHOWN_LINES:
                wrong.append(Problem(at, named, str(error), Place(name, number)))
            else:
                more += 1
    if more:
        lines = f"{more} more line{'s are' if more > 1 else ' is'} wrong in the same way"
        wrong.append(Problem(at, named, f"{lines}, would be one network a line", Place(name)))
    return networks, wrong


def beside(source: str, name: str) -> str:
    """Return the path of a file that the site file at ``source`` names."""
    return os.path.join(os.path.dirname(source), name)  # noqa: PTH118, PTH120


def _text(path: str) -> str:
    data = read_regular(path, "a readable file of networks", "one network a line")
    if b"\0" in data:
        message = "is a binary file, it holds NUL bytes, would be text with one network a line"
        raise UnfitFileError(message)
    # Whatever stands in a comment is nobody's business.
    return data.decode("utf-8-sig", "replace")
