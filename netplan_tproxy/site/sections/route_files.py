"""Files of routes, one a line, in the words of ip-route(8)."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from netplan_tproxy.site.sections.items import scalars
from netplan_tproxy.site.sections.listed_files import ListedFiles, UnfitLineError
from netplan_tproxy.site.sections.networks import parse_address
from netplan_tproxy.site.sections.route_values import (
    LIMITS,
    PREFERENCES,
    SCOPES,
    TYPES,
    UnfitRouteError,
    route_of,
)
from netplan_tproxy.site.sections.routes import slot_of
from netplan_tproxy.site.sections.tables import parse_table
from netplan_tproxy.site.yaml.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netplan_tproxy.errors import Place
    from netplan_tproxy.site.model import Route
    from netplan_tproxy.site.yaml.nodes import Mapping

Words = deque[str]
_CHOICES = {"scope": SCOPES, "pref": PREFERENCES}
_TEXTS = {
    "via": "an address", "src": "an address", "dev": "an interface", "scope": "a scope",
    "pref": "a preference",
}  # fmt: skip
_METRIC_WORDS = {"metric", "preference", "priority"}
_LONGEST_NAME = 15
_LONGEST_NUMBER = 10
_FAMILY_WORDS = {"inet", "inet6"}


def read_route_files(
    root: Mapping, source: str, others: Iterable[Route]
) -> tuple[tuple[Route, ...], list[Problem]]:
    """Return the routes of the files that ``route_files`` names, and what is wrong.

    ``others`` are those that the site file itself has, ``source`` is its path.
    """
    slots = {slot_of(route): route.place for route in others}

    def once(words: str, place: Place) -> Route:
        route = replace(parse_line(words), place=place)
        first = slots.setdefault(slot_of(route), place)
        if first is not place:
            where = f", first at {first}" if first else ""
            raise UnfitLineError(f"is given twice{where}, expected one of the two")
        return route

    files = ListedFiles(source, "route", "routes", once)
    routes: list[Route] = []
    problems: list[Problem] = []
    for here, item in scalars(root, (), "route_files"):
        listed, wrong = files.read(str(item.value), item.at, here)
        routes += listed
        problems += wrong
    return tuple(routes), problems


def parse_line(line: str) -> Route:
    """Return the route that a line describes. Raises UnfitLineError."""
    words: Words = deque(line.split())
    values: dict[str, Any] = {}
    if words[0] in TYPES:
        values["type"] = words.popleft()
    values["to"] = _next(words, "a network")
    table = ""
    while words and words[0] != "nexthop":
        word = words.popleft()
        if word == "table":
            table = _next(words, "a table")
        else:
            _take(word, words, values)
    while words:
        words.popleft()
        values.setdefault("nexthops", []).append(_hop(words))
    if "weight" in values:
        raise UnfitLineError("weight: is that of a nexthop, expected with one")
    if not table:
        raise UnfitLineError("names no table, expected such as 'table 100'")
    if values["to"] == "default" and _is_ipv6(values):
        values["family"] = "ipv6"
    _settle_onlink(values)
    try:
        return route_of(parse_table(table), values)
    except UnfitRouteError as unfit:
        name = ".".join(str(part) for part in unfit.path)
        raise UnfitLineError(f"{name}: {unfit.kind}") from unfit
    except ValueError as unfit:
        raise UnfitLineError("names a table that routes cannot be put into") from unfit


def _take(word: str, words: Words, values: dict[str, Any]) -> None:
    """Take one word and what belongs to it."""
    key = "metric" if word in _METRIC_WORDS else word
    if key in values:
        raise UnfitLineError("has a word twice, expected it once")
    if key in {"proto", "protocol"}:
        raise UnfitLineError("names a protocol, which is always ours, expected without")
    if key == "via" and words and words[0] in _FAMILY_WORDS:
        values["of"] = words.popleft()
    if key == "onlink":
        values[key] = True
    elif key in LIMITS:
        values[key] = _number(key, _next(words, "a number"))
    elif key in _TEXTS:
        values[key] = _text(key, _next(words, _TEXTS[key]))
    else:
        raise UnfitLineError("has a word that is not known here, expected as in ip-route(8)")


def _text(key: str, text: str) -> str:
    if key == "dev" and (len(text.encode()) > _LONGEST_NAME or set("/:") & set(text)):
        raise UnfitLineError("dev: is not an interface name of 1 to 15 bytes")
    if key in _CHOICES and text not in _CHOICES[key]:
        raise UnfitLineError(f"{key}: is not one of {', '.join(_CHOICES[key])}")
    return text


def _hop(words: Words) -> dict[str, Any]:
    values: dict[str, Any] = {}
    while words and words[0] != "nexthop":
        _take(words.popleft(), words, values)
    if values.keys() - {"via", "of", "dev", "weight", "onlink"}:
        raise UnfitLineError("nexthop: has another word than via, dev, weight and onlink")
    return values


def _next(words: Words, what: str) -> str:
    if not words:
        raise UnfitLineError(f"ends early, expected {what}")
    return words.popleft()


def _number(key: str, text: str) -> int:
    least, most = LIMITS[key]
    digits = text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER
    if not digits or not least <= int(text) <= most:
        raise UnfitLineError(f"{key}: is not a number from {least} to {most}")
    return int(text)


def _is_ipv6(values: dict[str, Any]) -> bool:
    """Whether ``default`` is that of IPv6: ip-route(8) takes the family of the first address."""
    if "src" in values:
        return ":" in values["src"]
    ways = [values, *values.get("nexthops", [])]
    addresses = [way["via"] for way in ways if "via" in way and "of" not in way]
    return bool(addresses) and all(":" in address for address in addresses)


def _settle_onlink(values: dict[str, Any]) -> None:
    """Let ``onlink`` stand with the route; there it is about all nexthops."""
    for way in (values, *values.get("nexthops", [])):
        family = {"inet": 2, "inet6": 10}.get(way.pop("of", ""))
        if family:
            try:
                parse_address(family, way["via"])
            except ValueError as unfit:
                raise UnfitLineError("via: is not an address of that family") from unfit
    flags = [hop.pop("onlink", False) for hop in values.get("nexthops", [])]
    if any(flags) and not all(flags):
        raise UnfitLineError("nexthop: is onlink beside one that is not, expected all or none")
    if any(flags):
        values["onlink"] = True
