"""Route tables: their numbers, and the names that this host has for them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path as File
from typing import TYPE_CHECKING

from netplan_tproxy.system.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

MAIN = 254
_LARGEST = 0xFFFFFFFF
_OF_THE_KERNEL = {253: "default", 254: "main", 255: "local"}  # linux/rtnetlink.h
_NUMBER = re.compile(r"0x[0-9a-fA-F]{1,8}|0|[1-9][0-9]{0,9}")
_NAMES = ("/usr/lib/iproute2", "/usr/share/iproute2", "/etc/iproute2")
_MOST_BYTES = 1 << 20


def parse_table(text: str) -> int:
    """Return the number of a table that routes may be put into: any but 253 and 255.

    Raises ValueError with the end of a message.
    """
    table = parse_any_table(text)
    if table in _OF_THE_KERNEL and table != MAIN:
        name = _OF_THE_KERNEL[table]
        message = f"table {text} is the kernel's '{name}', expected another such as 100"
        raise ValueError(message)
    return table


def parse_any_table(text: str) -> int:
    """Return the number of a table, or that of its name in rt_tables.

    Raises ValueError with the end of a message.
    """
    if not _NUMBER.fullmatch(text):
        table = numbers_of_names().get(text)
        if table is None:
            message = f"{shown(text)} is no table of this host's rt_tables, expected a number"
            raise ValueError(message)
        return table
    number = int(text, 0)
    if not 1 <= number <= _LARGEST:
        message = f"{text} is not a table number from 1 to {_LARGEST}"
        raise ValueError(message)
    return number


@cache
def numbers_of_names() -> dict[str, int]:
    """Return the numbers of tables by name, as ip-route(8) knows them."""
    numbers = {name: number for number, name in _OF_THE_KERNEL.items()}
    for folder in map(File, _NAMES):
        for file in (folder / "rt_tables", *sorted(folder.glob("rt_tables.d/*.conf"))):
            numbers |= _named_in(file)
    return numbers


def _named_in(file: File) -> Iterator[tuple[str, int]]:
    try:
        if not file.is_file():
            return
        with file.open(encoding="utf-8", errors="replace") as opened:
            text = opened.read(_MOST_BYTES)
    except OSError:
        return
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) == 2 and _NUMBER.fullmatch(words[0]) and int(words[0], 0):  # noqa: PLR2004
            yield words[1], int(words[0], 0)
