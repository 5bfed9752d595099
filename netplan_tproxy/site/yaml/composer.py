"""YAML events to nodes: anchors, merge keys, equal keys and the bounds on all of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, cast

import yaml

from netplan_tproxy.site.yaml.nodes import NOWHERE, Entry, Mapping, Node, Scalar, Sequence, children
from netplan_tproxy.site.yaml.problem import Path, Position, Problem
from netplan_tproxy.site.yaml.scalars import TAG, check_tag, resolve
from netplan_tproxy.site.yaml.syntax_errors import YAML
from netplan_tproxy.system.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netplan_tproxy.site.yaml.nodes import Value

MAX_DEPTH = 32
MAX_NODES = 500_000  # that stand in the file
MAX_EXPANDED = 50_000  # that come of aliases
_MERGE = "<<"
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


class FatalProblemError(Exception):
    """Reading cannot go on after this problem."""

    def __init__(self, problem: Problem) -> None:
        """Take the problem that stops reading."""
        super().__init__(problem.text)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class _Anchored:
    node: Node
    size: int
    height: int


@dataclass(frozen=True, slots=True)
class _Key:
    text: str
    at: Position
    merge: bool


class Composer:
    """Builds the nodes of one document.

    ``problems`` are those after which reading went on; ``refused`` are the paths among them whose
    values are not to be used.
    """

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        """Take the events of one stream, from its start."""
        self.problems: list[Problem] = []
        self.refused: set[Path] = set()
        self._events = events
        self._anchors: dict[str, _Anchored] = {}
        self._open: set[str] = set()
        self._count = 0
        self._expanded = 0

    def document(self) -> Node | None:
        """Return the root of the only document, or None if there is none.

        Raises FatalProblemError for a syntax error, a passed bound or a second document.
        """
        root: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    _fail(
                        event, YAML, "a second document starts here, expected one document a file"
                    )
                root = self._node(next(self._events), (), 0)
        return root

    def _node(self, event: yaml.Event, path: Path, depth: int) -> Node:
        self._spend(event, 1, depth)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path, depth)
        anchor = getattr(event, "anchor", None)
        if anchor is None:
            return self._content(event, path, depth)
        self._open.add(anchor)
        node = self._content(event, path, depth)
        self._open.discard(anchor)
        self._anchors[anchor] = _Anchored(node, *_measure(node))
        return node

    def _content(self, event: yaml.Event, path: Path, depth: int) -> Node:
        if isinstance(event, yaml.MappingStartEvent):
            self._collection_tag(event, "map", path)
            return Mapping(start(event), self._entries(path, depth))
        if isinstance(event, yaml.SequenceStartEvent):
            self._collection_tag(event, "seq", path)
            return Sequence(start(event), self._items(path, depth))
        return self._scalar(cast("yaml.ScalarEvent", event), path)

    def _items(self, path: Path, depth: int) -> tuple[Node, ...]:
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, (*path, len(items)), depth + 1))
        return tuple(items)

    def _entries(self, path: Path, depth: int) -> tuple[Entry, ...]:
        own: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        first_merge: Position | None = None
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, path, depth + 1)
            below = (*path, key.text)
            value = self._node(next(self._events), below, depth + 1)
            first = first_merge if key.merge else own[key.text].at if key.text in own else None
            if first is not None:
                self._note(key.at, below, f"given twice, first at {first}, expected one of the two")
            elif key.merge:
                first_merge = key.at
                merged = self._merge(value, key.at, below)
            else:
                own[key.text] = Entry(key.text, key.at, value)
        return tuple((merged | own).values())

    def _key(self, event: yaml.Event, path: Path, depth: int) -> _Key:
        at = start(event)
        if isinstance(event, yaml.ScalarEvent) and event.anchor is None and event.tag is None:
            self._spend(event, 1, depth)
            text = self._text(event, path, is_key=True)
            return _Key(text, at, merge=not event.style and text == _MERGE)
        node = self._node(event, path, depth)
        if not isinstance(node, Scalar):
            _fail(event, path, "a key is a list or a map, expected a plain word")
        return _Key(node.text, at, merge=False)

    def _merge(self, value: Node, at: Position, path: Path) -> dict[str, Entry]:
        maps = value.items if isinstance(value, Sequence) else (value,)
        merged: dict[str, Entry] = {}
        for node in maps:
            if not isinstance(node, Mapping):
                self._note(
                    at, path, "a merge key without a map, expected something like '<<: *name'"
                )
                return {}
            for entry in node.entries:
                merged.setdefault(entry.key, entry)
        return merged

    def _scalar(self, event: yaml.ScalarEvent, path: Path) -> Scalar:
        at = start(event)
        text = self._text(event, path)
        value: Value = text
        if not event.style and event.tag not in ("!", TAG + "str"):
            try:
                value = resolve(text)
            except ValueError as error:
                self._refuse(at, path, str(error))
                return Scalar(at, text, text)
        if event.tag is not None and (wrong := check_tag(event.tag, value)):
            self._refuse(at, path, wrong)
        return Scalar(at, text, value)

    def _text(self, event: yaml.ScalarEvent, path: Path, *, is_key: bool = False) -> str:
        r"""Return the text of a scalar; an escape such as "\uD800" or "\0" is no text."""
        text: str = event.value
        if _NO_TEXT.search(text):
            what = f"{shown(text)} holds an escape that is no character, expected plain text"
            text = _NO_TEXT.sub("?", text)
            self._refuse(start(event), (*path, text) if is_key else path, what)
        return text

    def _alias(self, event: yaml.AliasEvent, path: Path, depth: int) -> Node:
        name = str(event.anchor)
        if name in self._open:
            _fail(event, path, *_alias_texts(name, "refers to itself"))
        target = self._anchors.get(name)
        if target is None:
            _fail(event, path, *_alias_texts(name, "is not defined"))
        self._expanded += target.size
        if self._expanded > MAX_EXPANDED:
            _fail(event, YAML, f"more than {MAX_EXPANDED} values come of aliases, expected fewer")
        self._spend(event, 0, depth + target.height)
        return target.node

    def _collection_tag(self, event: yaml.CollectionStartEvent, name: str, path: Path) -> None:
        if event.tag not in (None, "!", TAG + name):
            tag = shown(str(event.tag).replace(TAG, "!!"))
            self._refuse(start(event), path, f"tag {tag} is not supported, expected no tag")

    def _spend(self, event: yaml.Event, nodes: int, depth: int) -> None:
        self._count += nodes
        if self._count > MAX_NODES:
            _fail(event, YAML, f"more than {MAX_NODES} values, expected fewer")
        if depth > MAX_DEPTH:
            _fail(event, YAML, f"nested more than {MAX_DEPTH} levels deep, expected fewer")

    def _refuse(self, at: Position, path: Path, text: str) -> None:
        """Note a problem with the very value at ``path``, which then needs no other check."""
        self._note(at, path, text)
        self.refused.add(path)

    def _note(self, at: Position, path: Path, text: str) -> None:
        self.problems.append(Problem(at, path, text))


def start(event: yaml.Event) -> Position:
    """Return where ``event`` starts; PyYAML counts from 0."""
    mark = event.start_mark
    return Position(mark.line + 1, mark.column + 1) if mark else NOWHERE


def _measure(node: Node) -> tuple[int, int]:
    """Return how many values ``node`` holds, keys and aliases included, and how deep it is."""
    below = [_measure(child) for _, _, child in children(node)]
    keys = len(below) if isinstance(node, Mapping) else 0
    size = 1 + keys + sum(size for size, _ in below)
    return size, 1 + max((height for _, height in below), default=0)


def _alias_texts(name: str, wrong: str) -> tuple[str, str]:
    """Return what is wrong with an alias, with its name and without."""
    end = f"{wrong}, expected an earlier anchor"
    return f"alias {shown(name)} {end}", f"an alias {end}"


def _fail(event: yaml.Event, path: Path, text: str, kind: str = "") -> NoReturn:
    raise FatalProblemError(Problem(start(event), path, text, kind=kind))
