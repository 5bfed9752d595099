"""What the schema refuses, in words."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netplan_tproxy.site.schema.accept import UnsureError, accepts
from netplan_tproxy.site.yaml.nodes import Mapping, Node, Scalar
from netplan_tproxy.site.yaml.scalars import resolve
from netplan_tproxy.system.text import clipped, printable, shown

if TYPE_CHECKING:
    from netplan_tproxy.site.yaml.problem import Path

# Text that YAML takes as it is, also inside a list or map.
_PLAIN = re.compile(r"[\w/.][\w/.:-]*", re.ASCII)
# An IPv6 address that ends with its longest run of zeros.
_OPEN_ADDRESS = re.compile(r"[0-9a-fA-F:]{0,35}::")


@dataclass(frozen=True, slots=True)
class Refusal:
    """One keyword of a (sub)schema that the value at ``path`` does not satisfy."""

    keyword: str
    path: Path
    schema: dict[str, Any]
    instance: Any


def unknown_text(guess: str | None, refusal: Refusal) -> str:
    """Return the message for a key that is not in the schema."""
    if guess:
        return f"unknown key, did you mean '{guess}'?"
    known = list(refusal.schema["properties"])
    return "unknown key, expected " + ("one of " if len(known) > 1 else "") + ", ".join(known)


def missing_text(key: str, schema: dict[str, Any]) -> str:
    """Return the message for a key that has to be in a map of this schema."""
    example = flow(schema["properties"][key]["examples"][0])
    return f"missing, expected something like '{key}: {example}'"


def unfit_text(node: Node, refusal: Refusal) -> str:
    """Return the message for a value, or a name, that is not as the schema says."""
    schema = refusal.schema
    quotes = _without_quotes(node, schema) or _in_quotes(node, schema)
    return quotes or _refused_text(node, refusal)


def _refused_text(node: Node, refusal: Refusal) -> str:
    schema = refusal.schema
    match refusal.keyword:
        case "enum":
            return f"{described(node)} is not one of {', '.join(map(repr, schema['enum']))}"
        case "const":
            return f"{described(node)} is not supported, expected {schema['const']}"
        case "not" | "oneOf":
            return _together_text(refusal)
        case "minProperties" | "minItems" | "maxItems" | "uniqueItems":
            return _items_text(refusal)
        case "propertyNames":
            return f"{shown(str(refusal.path[-1]))} is not {schema['x-expect']}"
        case _:
            return f"{described(node)} is not {schema['x-expect']}"


def _without_quotes(node: Node, schema: dict[str, Any]) -> str:
    """Return the message for a number, or yes or no, that quotes have made a text."""
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        return ""
    with suppress(ValueError, UnsureError):
        value = resolve(node.text)
        if not isinstance(value, str) and accepts(schema, value):
            return f"{shown(node.text)} is text, expected {node.text} without quotes"
    return ""


def _in_quotes(node: Node, schema: dict[str, Any]) -> str:
    """Return the message for an address such as ``fe80::``, which is a map without quotes."""
    if not isinstance(node, Mapping) or len(node.entries) != 1:
        return ""
    address = f"{node.entries[0].key}:"
    if not _OPEN_ADDRESS.fullmatch(address) or schema.get("type") != "string":
        return ""
    return f"{address} ends with ':', which makes it a map, expected '{address}' in quotes"


def _together_text(refusal: Refusal) -> str:
    schema = refusal.schema
    if refusal.keyword == "not":
        return f"has both {' and '.join(schema['not']['required'])}, expected one of the two"
    keys = [one["required"][0] for one in schema["oneOf"]]
    return f"has {' and '.join(key for key in keys if key in refusal.instance)}, expected one"


def _items_text(refusal: Refusal) -> str:
    schema, count = refusal.schema, len(refusal.instance)
    if refusal.keyword == "maxItems":
        return f"has {count} items, expected at most {schema['maxItems']}"
    if refusal.keyword == "minItems" and count:
        return f"has {count} item{'s' if count > 1 else ''}, expected at least {schema['minItems']}"
    if refusal.keyword == "uniqueItems":
        return "has an item twice, expected each once"
    right = f"{schema['x-expect']} such as {flow(schema['examples'][0])}"
    return f"is empty{schema.get('x-empty', '')}, expected {right}"


def described(node: Node) -> str:
    """Return a value for a message: text in quotes, anything else as the file has it."""
    if isinstance(node, Scalar):
        if isinstance(node.value, str):
            return shown(node.text)
        return printable(clipped(node.text)) or "an empty value"
    return "a map" if isinstance(node, Mapping) else "a list"


def flow(value: Any) -> str:
    """Return plain data as YAML in flow style, for the examples in messages."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return text if _PLAIN.fullmatch(text) else f"'{text}'"
