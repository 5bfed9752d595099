"""Lists of plain values: each item with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from netplan_tproxy.site.yaml.nodes import Scalar, Sequence
from netplan_tproxy.site.yaml.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netplan_tproxy.site.yaml.nodes import Mapping
    from netplan_tproxy.site.yaml.problem import Path, Position

_T = TypeVar("_T")


def scalars(section: Mapping, path: Path, key: str) -> Iterator[tuple[Path, Scalar]]:
    """Yield path and value of every item of the list at ``key``, without what was refused."""
    node = section.child(key)
    for index, item in enumerate(node.items if isinstance(node, Sequence) else ()):
        if isinstance(item, Scalar) and item.value is not None:
            yield (*path, key, index), item


def read_items(
    section: Mapping, path: Path, key: str, parse: Callable[[Scalar], _T]
) -> tuple[list[_T], list[Problem]]:
    """Return what ``parse`` makes of each item, and what is wrong with them.

    ``parse`` raises ValueError with the end of a message.
    """
    values: list[_T] = []
    problems: list[Problem] = []
    for here, item in scalars(section, path, key):
        try:
            values.append(parse(item))
        except ValueError as error:
            problems.append(Problem(item.at, here, str(error)))
    return values, problems


def read_distinct(
    section: Mapping, path: Path, key: str, parse: Callable[[Scalar], _T]
) -> tuple[list[_T], list[Problem]]:
    """Return as ``read_items`` does; an item that means the same as an earlier one is wrong."""
    seen: dict[_T, Position] = {}

    def once(item: Scalar) -> _T:
        value = parse(item)
        if value in seen:
            message = f"{value} is given twice, first at {seen[value]}, expected once"
            raise ValueError(message)
        seen[value] = item.at
        return value

    return read_items(section, path, key, once)
