"""What the schema refuses in the nodes, as problems with positions."""

from __future__ import annotations

from contextlib import suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, cast

from netplan_tproxy.site.schema.accept import UnsureError, accepts
from netplan_tproxy.site.schema.location import site_schema
from netplan_tproxy.site.schema.wording import Refusal, missing_text, unfit_text, unknown_text
from netplan_tproxy.site.yaml.nodes import Node, plain, walk
from netplan_tproxy.site.yaml.problem import Path, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator


# What the schema uses to say which keys of a map go together.
_OF_KEYS = ("anyOf", "oneOf", "not")


def schema_problems(root: Node) -> list[Problem]:
    """Return what the schema refuses in ``root``: kinds of values, names, ranges, unknown keys.

    A missing key is not reported where an unknown key beside it looks like that key misspelt.
    """
    unfit: list[Problem] = []
    missing: list[tuple[Problem, set[Path]]] = []
    guessed: set[Path] = set()
    places = {(): (root.at, root)} | {path: (at, node) for path, at, node in walk(root)}
    for refusal in _refusals(root):
        at, node = places[refusal.path]
        if refusal.keyword == "additionalProperties":
            for key in _unknown(refusal):
                path = (*refusal.path, key)
                guess = _closest(key, list(refusal.schema["properties"]))
                guessed |= {(*refusal.path, guess)} if guess else set()
                unfit.append(Problem(places[path][0], path, unknown_text(guess, refusal)))
        elif absent := _absent(refusal):
            for keys in absent:
                problem = Problem(at, (*refusal.path, keys[0]), missing_text(keys[0], refusal))
                missing.append((problem, {(*refusal.path, key) for key in keys}))
        else:
            unfit.append(Problem(at, refusal.path, unfit_text(node, refusal)))
    return unfit + [problem for problem, paths in missing if not paths & guessed]


def _refusals(root: Node) -> Iterator[Refusal]:
    value = plain(root)
    with suppress(UnsureError):
        if accepts(site_schema(), value):
            return
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - see accept.py

    for error in Draft202012Validator(site_schema()).iter_errors(value):
        schema = cast("dict[str, Any]", error.schema)
        path: Path = tuple(error.absolute_path)
        if "propertyNames" in error.absolute_schema_path:
            yield Refusal("propertyNames", (*path, str(error.instance)), schema, None)
        elif error.validator not in _OF_KEYS or isinstance(error.instance, dict):
            yield Refusal(str(error.validator), path, schema, error.instance)


def _unknown(refusal: Refusal) -> list[str]:
    return [key for key in refusal.instance if key not in refusal.schema["properties"]]


def _closest(key: str, known: list[str]) -> str | None:
    return next(iter(get_close_matches(key[:80].lower(), known, n=1)), None)


def _absent(refusal: Refusal) -> list[tuple[str, ...]]:
    """Return the keys a map lacks, each with its alternatives."""
    present: dict[str, Any] = refusal.instance
    if refusal.keyword == "required":
        return [(key,) for key in refusal.schema["required"] if key not in present]
    if refusal.keyword in ("anyOf", "oneOf"):
        names = tuple(one["required"][0] for one in refusal.schema[refusal.keyword])
        return [] if any(name in present for name in names) else [names]
    return []
