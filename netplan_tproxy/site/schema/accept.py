"""Whether a schema accepts a value, without saying why not.

The jsonschema package takes longer to import than all the rest of a run with nothing to do.
A right site file needs none of what it knows about wrong ones, so that is asked only when
this answers no, or does not know. A property test holds the two against each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_Schema = Mapping[str, Any]


class UnsureError(Exception):
    """The schema says something that this does not know, or the value is a borderline case."""


def accepts(root: _Schema, value: object) -> bool:
    """Whether ``root`` (JSON Schema draft 2020-12) accepts ``value``. Raises UnsureError."""
    return _Judge(root).accepts(root, value)


_ANNOTATIONS = frozenset(
    {"$schema", "$id", "$defs", "title", "description", "default", "examples", "format"}
)
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}


class _Judge:
    def __init__(self, root: _Schema) -> None:
        self._root = root

    def accepts(self, schema: _Schema | bool, value: Any) -> bool:  # noqa: FBT001
        if isinstance(schema, bool):
            return schema
        for keyword, wanted in schema.items():
            if keyword in _ANNOTATIONS or keyword.startswith("x-"):
                continue
            check = _CHECKS.get(keyword)
            if check is None:
                raise UnsureError(keyword)
            if not check(self, schema, wanted, value):
                return False
        return True

    def ref(self, _schema: _Schema, wanted: str, value: Any) -> bool:
        found: Any = self._root
        for name in wanted.removeprefix("#/").split("/"):
            found = found[name]
        return self.accepts(found, value)

    def type(self, _schema: _Schema, wanted: str | list[str], value: Any) -> bool:
        return any(_is(name, value) for name in ([wanted] if isinstance(wanted, str) else wanted))

    def properties(self, _schema: _Schema, wanted: Mapping[str, _Schema], value: Any) -> bool:
        return not isinstance(value, dict) or all(
            self.accepts(wanted[key], member) for key, member in value.items() if key in wanted
        )

    def additional(self, schema: _Schema, wanted: _Schema | bool, value: Any) -> bool:  # noqa: FBT001
        known = schema.get("properties", {})
        return not isinstance(value, dict) or all(
            self.accepts(wanted, member) for key, member in value.items() if key not in known
        )

    def names(self, _schema: _Schema, wanted: _Schema, value: Any) -> bool:
        return not isinstance(value, dict) or all(self.accepts(wanted, key) for key in value)

    def items(self, _schema: _Schema, wanted: _Schema, value: Any) -> bool:
        return not isinstance(value, list) or all(self.accepts(wanted, one) for one in value)

    def any_of(self, _schema: _Schema, wanted: list[_Schema], value: Any) -> bool:
        return any(self.accepts(one, value) for one in wanted)

    def one_of(self, _schema: _Schema, wanted: list[_Schema], value: Any) -> bool:
        return sum(self.accepts(one, value) for one in wanted) == 1

    def all_of(self, _schema: _Schema, wanted: list[_Schema], value: Any) -> bool:
        return all(self.accepts(one, value) for one in wanted)

    def not_(self, _schema: _Schema, wanted: _Schema, value: Any) -> bool:
        return not self.accepts(wanted, value)


def _is(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        raise UnsureError(name)  # 1.0 is one
    return isinstance(value, _TYPES[name])


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list | dict | float) or isinstance(other, list | dict | float):
        raise UnsureError("const")
    return type(one) is type(other) and bool(one == other)


def _unique(values: list[Any]) -> bool:
    return not any(
        _same(one, other) for index, one in enumerate(values) for other in values[:index]
    )


def _of(kinds: type | tuple[type, ...], holds: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    """A check that concerns values of some kinds alone; a boolean is no number."""

    def check(_judge: _Judge, _schema: _Schema, wanted: Any, value: Any) -> bool:
        concerned = isinstance(value, kinds) and not isinstance(value, bool)
        return not concerned or holds(wanted, value)

    return check


_NUMBERS = (int, float)
_CHECKS: dict[str, Callable[..., bool]] = {
    "$ref": _Judge.ref,
    "type": _Judge.type,
    "properties": _Judge.properties,
    "additionalProperties": _Judge.additional,
    "propertyNames": _Judge.names,
    "items": _Judge.items,
    "anyOf": _Judge.any_of,
    "oneOf": _Judge.one_of,
    "allOf": _Judge.all_of,
    "not": _Judge.not_,
    "const": lambda _judge, _schema, wanted, value: _same(wanted, value),
    "enum": lambda _judge, _schema, wanted, value: any(_same(one, value) for one in wanted),
    "required": _of(dict, lambda wanted, value: all(key in value for key in wanted)),
    "minProperties": _of(dict, lambda wanted, value: len(value) >= wanted),
    "maxProperties": _of(dict, lambda wanted, value: len(value) <= wanted),
    "minItems": _of(list, lambda wanted, value: len(value) >= wanted),
    "maxItems": _of(list, lambda wanted, value: len(value) <= wanted),
    "uniqueItems": _of(list, lambda wanted, value: not wanted or _unique(value)),
    "minLength": _of(str, lambda wanted, value: len(value) >= wanted),
    "maxLength": _of(str, lambda wanted, value: len(value) <= wanted),
    "pattern": _of(str, lambda wanted, value: re.search(wanted, value) is not None),
    "minimum": _of(_NUMBERS, lambda wanted, value: value >= wanted),
    "maximum": _of(_NUMBERS, lambda wanted, value: value <= wanted),
}
