"""Ports and ranges of ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netplan_tproxy.system.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netplan_tproxy.site.model import Ports
    from netplan_tproxy.site.yaml.nodes import Scalar

LARGEST_PORT = 0xFFFF


def parse_ports(item: Scalar) -> tuple[int, int]:
    """Return the first and last port of ``N`` or ``A-B``.

    Raises ValueError with the end of a message.
    """
    low, dash, high = str(item.value).partition("-")
    first, last = int(low), int(high if dash else low)
    if max(first, last) > LARGEST_PORT:
        message = f"{shown(item.text)} is not within the ports 1 to {LARGEST_PORT}"
        raise ValueError(message)
    if first > last:
        message = f"{shown(item.text)} ends before it starts, would be '{last}-{first}'"
        raise ValueError(message)
    return first, last


def merge_ports(ranges: Iterable[tuple[int, int]]) -> Ports:
    """Return the ranges ascending; those that overlap or touch become one."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)
