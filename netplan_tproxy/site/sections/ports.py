"""Ports and ranges of ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netplan_tproxy.system.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netplan_tproxy.site.model import Ports
    from netplan_tproxy.site.yaml.nodes import Scalar

LARGEST_PORT = 0xFFFF
EVERY_PORT = ((1, LARGEST_PORT),)


def parse_ports(item: Scalar) -> tuple[int, int]:
    """Return the first and last port of ``N`` or ``A-B``.

    Raises ValueError with the end of a message.
    """
    first, last = port_range(str(item.value))
    if max(first, last) > LARGEST_PORT:
        message = f"{shown(item.text)} is not within the ports 1 to {LARGEST_PORT}"
        raise ValueError(message)
    if first > last:
        message = f"{shown(item.text)} ends before it starts, expected '{last}-{first}'"
        raise ValueError(message)
    return first, last


def port_range(text: str) -> tuple[int, int]:
    """Return the two ports of ``A-B``, or of ``N`` twice; text that the schema accepts."""
    low, dash, high = text.partition("-")
    return int(low, 0), int(high if dash else low, 0)


def merge_ports(ranges: Iterable[tuple[int, int]]) -> Ports:
    """Return the ranges ascending; those that overlap or touch become one."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)
