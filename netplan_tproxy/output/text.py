"""Text for a terminal: wrapped lines, columns, numbers, times. Pure."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

_INDENT = "    "
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_SGR = re.compile(r"\033\[\d+m")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP = 1024
_TEN = 10


def wrapped(text: str, width: int, indent: str = _INDENT) -> list[str]:
    """Break a line at spaces so that it fits ``width``; a word that is longer gets a line.

    Colours take no room.
    """
    if len(text) <= width:
        return [text.rstrip()]
    lines = []
    line = ""
    for word in re.findall(r"\s*\S+", text):
        if line.strip() and visible(line) + visible(word) > width:
            lines.append(line)
            line = indent + word.lstrip()
        else:
            line += word
    return [*lines, line]


def visible(text: str) -> int:
    """Return how many columns a text takes on a terminal."""
    return len(_SGR.sub("", text))


def columns(rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> list[str]:
    """Align the cells of rows, two spaces apart; those of the columns ``right`` to the right."""
    if not rows:
        return []
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def cut(text: str, width: int) -> str:
    """Cut a line to ``width`` characters, with an ellipsis where it was cut."""
    return text if len(text) <= width else text[: width - 1] + "…"


def clip(text: str, width: int) -> str:
    """Cut a line, which may be coloured, to ``width`` columns; the colours are ended."""
    if visible(text) <= width:
        return text
    room, parts = width - 1, []
    for piece in re.split(f"({_SGR.pattern})", text):
        if _SGR.fullmatch(piece):
            parts.append(piece)
        else:
            parts.append(piece[:room])
            room -= len(parts[-1])
    return f"{''.join(parts)}…"


def ago(seconds: float) -> str:
    """Return a duration in its two largest units: ``3 d 4 h``, ``12 s``."""
    whole = max(0, int(seconds))
    days, rest = divmod(whole, _DAY)
    hours, rest = divmod(rest, _HOUR)
    minutes, secs = divmod(rest, _MINUTE)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {secs} s" if minutes else f"{secs} s"


def moment(at: float) -> str:
    """Return a time, given in seconds since 1970, in the local time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def size(octets: float) -> str:
    """Return a number of bytes with at most three digits and a unit: ``1.5 MiB``."""
    value, unit = float(octets), 0
    while value >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit and value < _TEN else f"{value:.0f} {_UNITS[unit]}"


def rate(per_second: float) -> str:
    """Return a rate with its unit: ``2.5/s``."""
    return f"{per_second:.1f}/s" if 0 < per_second < _TEN else f"{per_second:.0f}/s"
