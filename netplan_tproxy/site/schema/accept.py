"""Whether a schema accepts a value, without saying why not.

To import jsonschema and to ask it takes 59 to 84 ms, this 2 to 3, and a right site file needs
nothing of what jsonschema knows about wrong ones: so that is asked only when this answers no, or
does not know. What fastjsonschema 2.22 generates takes 3 to 4 ms (5 to 7 with its library), is
775 lines of code for these 150, and would have to be generated in every checkout too.

A property test holds the answers of this against those of jsonschema.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_Schema = Mapping[str, Any]


class UnsureError(Exception):
    """Neither yes nor no: a keyword that is not known here, or values that are hard to compare."""


def accepts(root: _Schema, value: object) -> bool:
    """Return whether ``root`` (JSON Schema draft 2020-12) accepts ``value``.

    Raises UnsureError.
    """
    return _Evaluator(root).accepts(root, value)


_ANNOTATIONS = frozenset(
    {
        "$schema",
        "$id",
        "$defs",
        "title",
        "description",
        "default",
        "examples",
        "format",
        # For editors (yaml-language-server).
        "errorMessage",
        "patternErrorMessage",
        "defaultSnippets",
    }
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


class _Evaluator:
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
        target: Any = self._root
        for name in wanted.removeprefix("#/").split("/"):
            target = target[name]
        return self.accepts(target, value)

    def type(self, _schema: _Schema, wanted: str | list[str], value: Any) -> bool:
        return any(
            _has_type(name, value) for name in ([wanted] if isinstance(wanted, str) else wanted)
        )

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


def _has_type(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        raise UnsureError(name)  # 1.0 is one
    return isinstance(value, _TYPES[name])


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, list | dict | float) or isinstance(other, list | dict | float):
        raise UnsureError("const")
    return type(one) is type(other) and bool(one == other)


def _unique(values: list[Any]) -> bool:
    if any(isinstance(value, list | dict | float) for value in values):
        raise UnsureError("uniqueItems")
    return len({(type(value), value) for value in values}) == len(values)


def _for_values(
    kinds: type | tuple[type, ...], holds: Callable[[Any, Any], bool]
) -> Callable[..., bool]:
    """Return a check that passes what is not of these kinds; a boolean is no number."""

    def check(_evaluator: _Evaluator, _schema: _Schema, wanted: Any, value: Any) -> bool:
        passed = not isinstance(value, kinds) or isinstance(value, bool)
        return passed or holds(wanted, value)

    return check


_NUMBERS = (int, float)
_CHECKS: dict[str, Callable[..., bool]] = {
    "$ref": _Evaluator.ref,
    "type": _Evaluator.type,
    "properties": _Evaluator.properties,
    "additionalProperties": _Evaluator.additional,
    "propertyNames": _Evaluator.names,
    "items": _Evaluator.items,
    "anyOf": _Evaluator.any_of,
    "oneOf": _Evaluator.one_of,
    "allOf": _Evaluator.all_of,
    "not": _Evaluator.not_,
    "const": lambda _evaluator, _schema, wanted, value: _equal(wanted, value),
    "enum": lambda _evaluator, _schema, wanted, value: any(_equal(one, value) for one in wanted),
    "required": _for_values(dict, lambda wanted, value: all(key in value for key in wanted)),
    "minProperties": _for_values(dict, lambda wanted, value: len(value) >= wanted),
    "maxProperties": _for_values(dict, lambda wanted, value: len(value) <= wanted),
    "minItems": _for_values(list, lambda wanted, value: len(value) >= wanted),
    "maxItems": _for_values(list, lambda wanted, value: len(value) <= wanted),
    "uniqueItems": _for_values(list, lambda wanted, value: not wanted or _unique(value)),
    "minLength": _for_values(str, lambda wanted, value: len(value) >= wanted),
    "maxLength": _for_values(str, lambda wanted, value: len(value) <= wanted),
    "pattern": _for_values(str, lambda wanted, value: re.search(wanted, value) is not None),
    "minimum": _for_values(_NUMBERS, lambda wanted, value: value >= wanted),
    "maximum": _for_values(_NUMBERS, lambda wanted, value: value <= wanted),
}
