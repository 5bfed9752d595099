"""A request for a change, and the attributes of its message (rtnetlink(7)). Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

# A table's number that takes more than a byte stands in an attribute alone.
_RT_TABLE_COMPAT = 252
_A_BYTE = 0xFF
_ATTRIBUTE = struct.Struct("=HH")  # struct rtattr


@dataclass(frozen=True)
class Request:
    """One change; ``what`` names it, and the refusals in ``fine`` are none."""

    what: str
    kind: int
    body: bytes
    flags: int = 0
    fine: tuple[int, ...] = ()


def attribute(kind: int, value: bytes) -> bytes:
    """Give an attribute of a message."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def number(kind: int, value: int) -> bytes:
    """Give an attribute that is a number of 32 bits."""
    return attribute(kind, struct.pack("=I", value))


def attributes(message: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Give the kinds and values of a message's attributes, which begin at ``at``."""
    while at + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        yield kind, message[at + _ATTRIBUTE.size : at + length]
        at += max(_ATTRIBUTE.size, (length + 3) & ~3)


def short_table(table: int) -> int:
    """Give the number of a table as a message's header has it."""
    return table if table <= _A_BYTE else _RT_TABLE_COMPAT
