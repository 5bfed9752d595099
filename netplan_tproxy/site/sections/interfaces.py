"""The interfaces and the directions whose traffic is intercepted on each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netplan_tproxy.site.model import Interface
from netplan_tproxy.site.yaml.nodes import Mapping, Scalar, Sequence
from netplan_tproxy.site.yaml.problem import Problem
from netplan_tproxy.system.text import shown

if TYPE_CHECKING:
    from netplan_tproxy.site.yaml.nodes import Node

DIRECTIONS = ("output", "forward")
DEFAULT_DIRECTIONS = ("output",)
_LONGEST_NAME = 15  # IFNAMSIZ without its NUL


def read_interfaces(section: Mapping) -> tuple[tuple[Interface, ...], list[Problem]]:
    """Return the interfaces in the order of the file, and what is wrong with their names."""
    interfaces: list[Interface] = []
    problems: list[Problem] = []
    for entry in section.entries:
        if len(entry.key.encode()) > _LONGEST_NAME or not entry.key.isprintable():
            name = shown(entry.key)
            text = f"{name} is not an interface name of 1 to {_LONGEST_NAME} printable bytes"
            problems.append(Problem(entry.at, ("interfaces", entry.key), text))
            continue
        options = entry.value
        intercept = options.child("intercept") if isinstance(options, Mapping) else None
        interfaces.append(Interface(entry.key, _directions(intercept)))
    return tuple(interfaces), problems


def _directions(node: Node | None) -> tuple[str, ...]:
    items = node.items if isinstance(node, Sequence) else (node,)
    named = {item.value for item in items if isinstance(item, Scalar)}
    return tuple(way for way in DIRECTIONS if way in named) or DEFAULT_DIRECTIONS
