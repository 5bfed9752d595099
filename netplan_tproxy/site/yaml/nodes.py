"""The parsed file as frozen nodes that know their position. Pure data, no YAML library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from netplan_tproxy.site.yaml.problem import Path, Position

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

Value: TypeAlias = str | int | bool | None


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value; ``text`` is what the file says, ``value`` what it means."""

    at: Position
    text: str
    value: Value


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    at: Position
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a map with its value; ``at`` is where the key stands."""

    key: str
    at: Position
    value: Node


@dataclass(frozen=True, slots=True)
class Mapping:
    """A map; merge keys are already resolved and every key is there once."""

    at: Position
    entries: tuple[Entry, ...]

    def get(self, key: str) -> Entry | None:
        """Return the entry named ``key``, or None."""
        return next((entry for entry in self.entries if entry.key == key), None)

    def child(self, key: str) -> Node | None:
        """Return the value of ``key``, or None."""
        entry = self.get(key)
        return entry.value if entry else None

    def scalar(self, key: str, default: Value = None) -> Value:
        """Return the plain value of ``key``, or ``default`` if it is absent or not a scalar."""
        node = self.child(key)
        return node.value if isinstance(node, Scalar) else default


Node: TypeAlias = Scalar | Sequence | Mapping

NOWHERE = Position(1, 1)


def children(node: Node) -> Iterator[tuple[str | int, Position, Node]]:
    """Yield name, position and node of everything directly below ``node``."""
    if isinstance(node, Mapping):
        for entry in node.entries:
            yield entry.key, entry.at, entry.value
    elif isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            yield index, item.at, item


def plain(node: Node) -> Any:
    """Return ``node`` as dicts, lists and values, with every key a string."""
    if isinstance(node, Mapping):
        return {entry.key: plain(entry.value) for entry in node.entries}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return node.value


def walk(node: Node, path: Path = ()) -> Iterator[tuple[Path, Position, Node]]:
    """Yield path, position and node of everything below ``node``.

    The position of a map entry is that of its key, the position of a list item its start.
    """
    for name, at, child in children(node):
        below = (*path, name)
        yield below, at, child
        yield from walk(child, below)


def section(root: Mapping, key: str) -> Mapping:
    """Return the map at ``key``; an absent or empty one is a map without entries."""
    node = root.child(key)
    return node if isinstance(node, Mapping) else Mapping(root.at, ())


def without(root: Mapping, bad: AbstractSet[Path], path: Path = ()) -> Mapping:
    """Return ``root`` with every entry of a map removed whose path is in ``bad``.

    A list keeps its length, so that indexes stay true: a bad item becomes a null.
    """
    kept = (
        Entry(entry.key, entry.at, _fit(entry.value, bad, (*path, entry.key)))
        for entry in root.entries
        if (*path, entry.key) not in bad
    )
    return Mapping(root.at, tuple(kept))


def _fit(node: Node, bad: AbstractSet[Path], path: Path) -> Node:
    if isinstance(node, Mapping):
        return without(node, bad, path)
    if isinstance(node, Sequence):
        items = (
            Scalar(item.at, "", None) if (*path, index) in bad else _fit(item, bad, (*path, index))
            for index, item in enumerate(node.items)
        )
        return Sequence(node.at, tuple(items))
    return node
