"""What the schema refuses in the nodes, as problems with positions."""

from __future__ import annotations

import json
from contextlib import suppress
from difflib import get_close_matches
from operator import itemgetter
from typing import TYPE_CHECKING, Any, cast

from netplan_tproxy.errors import MOST_SHOWN
from netplan_tproxy.site.schema.accept import UnsureError, accepts
from netplan_tproxy.site.schema.location import site_schema
from netplan_tproxy.site.schema.wording import Refusal, missing_text, unfit_text, unknown_text
from netplan_tproxy.site.yaml.nodes import Node, plain, walk
from netplan_tproxy.site.yaml.problem import Path, Position, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema.protocols import Validator


# What the schema uses to say which keys of a map go together.
_OF_KEYS = ("anyOf", "oneOf", "not")


def schema_problems(root: Node) -> list[Problem]:
    """Return what the schema refuses in ``root``: kinds of values, names, ranges, unknown keys.

    A missing key is not reported where an unknown key beside it looks like that key misspelt.
    """
    unfit: list[Problem] = []
    unknown: list[tuple[Position, Path, Refusal]] = []
    missing: list[tuple[Problem, set[Path]]] = []
    places = {(): (root.at, root)} | {path: (at, node) for path, at, node in walk(root)}
    for refusal in _refusals(root):
        at, node = places[refusal.path]
        if refusal.keyword == "additionalProperties":
            paths = [(*refusal.path, key) for key in _unknown(refusal)]
            unknown += [(places[path][0], path, refusal) for path in paths]
        elif absent := _absent(refusal):
            for keys in absent:
                problem = Problem(
                    at, (*refusal.path, keys[0]), missing_text(keys[0], refusal.schema)
                )
                missing.append((problem, {(*refusal.path, key) for key in keys}))
        else:
            unfit.append(Problem(at, refusal.path, unfit_text(node, refusal)))
    misspelt, guessed = _unknown_problems(unknown)
    return [*misspelt, *unfit, *(problem for problem, paths in missing if not paths & guessed)]


def _unknown_problems(
    unknown: list[tuple[Position, Path, Refusal]],
) -> tuple[list[Problem], set[Path]]:
    """Return a problem a key, and the paths of the keys that they look like."""
    problems: list[Problem] = []
    guessed: set[Path] = set()
    # Looking for a likeness takes long; only those that will be shown are worth it.
    for number, (at, path, refusal) in enumerate(sorted(unknown, key=itemgetter(0))):
        known = list(refusal.schema["properties"]) if number < MOST_SHOWN else []
        guess = _closest(str(path[-1]), known)
        guessed |= {(*refusal.path, guess)} if guess else set()
        problems.append(Problem(at, path, unknown_text(guess, refusal)))
    return problems, guessed


def _refusals(root: Node) -> Iterator[Refusal]:
    value = plain(root)
    with suppress(UnsureError):
        if accepts(site_schema(), value):
            return
    for error in _validator().iter_errors(value):
        schema = cast("dict[str, Any]", error.schema)
        path: Path = tuple(error.absolute_path)
        if "propertyNames" in error.absolute_schema_path:
            yield Refusal("propertyNames", (*path, str(error.instance)), schema, None)
        elif error.validator not in _OF_KEYS or isinstance(error.instance, dict):
            yield Refusal(str(error.validator), path, schema, error.instance)


def _validator() -> Validator:
    from jsonschema import Draft202012Validator, ValidationError  # noqa: PLC0415 - see accept.py
    from jsonschema.validators import extend  # noqa: PLC0415

    def unique(_validator: Any, wanted: bool, value: Any, _schema: Any) -> Iterator[Any]:  # noqa: FBT001
        """As the keyword ``uniqueItems``; jsonschema compares each item with each other one."""
        if wanted and isinstance(value, list):
            texts = {json.dumps(item, sort_keys=True) for item in value}
            if len(texts) < len(value):
                yield ValidationError("has non-unique elements")

    fast = extend(Draft202012Validator, {"uniqueItems": unique})  # type: ignore[no-untyped-call]
    return cast("Validator", fast(site_schema()))


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
