"""Route tables and the routes they hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from netplan_tproxy.site.model import AF_INET, AF_INET6, Route
from netplan_tproxy.site.sections.networks import parse_network
from netplan_tproxy.site.yaml.nodes import Mapping, Scalar, Sequence
from netplan_tproxy.site.yaml.problem import Path, Position, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netplan_tproxy.site.yaml.nodes import Node

DEFAULT_TABLE = 100
EVERYTHING = {AF_INET: "0.0.0.0/0", AF_INET6: "::/0"}
_LARGEST_TABLE = 0xFFFFFFFF
_KERNEL_TABLES = {253: "default", 254: "main", 255: "local"}  # linux/rtnetlink.h
_TABLE = re.compile(r"0x[0-9a-fA-F]{1,8}|0|[1-9][0-9]{0,9}")


def parse_table(text: str) -> int:
    """Return the table number in ``text``. Raises ValueError with the end of a message."""
    number = int(text, 0)
    if not 1 <= number <= _LARGEST_TABLE:
        message = f"{text} is not a table number from 1 to {_LARGEST_TABLE}"
        raise ValueError(message)
    if number in _KERNEL_TABLES:
        name = _KERNEL_TABLES[number]
        message = f"table {text} is the kernel's '{name}', expected another such as {DEFAULT_TABLE}"
        raise ValueError(message)
    return number


def parse_destination(text: str) -> str:
    """Return the canonical form of a network; ``default`` is 0.0.0.0/0.

    Raises ValueError with the end of a message.
    """
    return EVERYTHING[AF_INET] if text == "default" else str(parse_network(text))


def read_routes(
    section: Mapping, families: Iterable[int]
) -> tuple[tuple[Route, ...], list[Problem]]:
    """Return the routes in the order of the file, and what is wrong.

    The default is everything of each of the ``families``.
    """
    routes: list[Route] = []
    problems: list[Problem] = []
    tables: dict[int, Position] = {}
    for entry in section.entries:
        path: Path = ("route_tables", entry.key)
        try:
            table = parse_table(entry.key)
        except ValueError as error:
            problems.append(Problem(entry.at, path, str(error)))
            continue
        if table in tables:
            text = (
                f"table {table} is given twice, first at {tables[table]}, expected one of the two"
            )
            problems.append(Problem(entry.at, path, text))
        tables.setdefault(table, entry.at)
        in_table, wrong = _read_table(table, entry.value, path)
        routes += in_table
        problems += wrong
    if not section.entries:
        routes = [Route(DEFAULT_TABLE, EVERYTHING[family]) for family in families]
    return tuple(routes), problems


def declared_tables(node: Node | None) -> tuple[int, ...]:
    """Return the usable table numbers in ``route_tables``, even where their routes are wrong."""
    if not isinstance(node, Mapping) or not node.entries:
        return (DEFAULT_TABLE,)
    keys = [int(entry.key, 0) for entry in node.entries if _TABLE.fullmatch(entry.key)]
    return tuple(dict.fromkeys(keys))


def _read_table(table: int, node: Node, path: Path) -> tuple[list[Route], list[Problem]]:
    routes: list[Route] = []
    problems: list[Problem] = []
    seen: dict[str, Position] = {}
    for index, item in enumerate(node.items if isinstance(node, Sequence) else ()):
        entry = item.get("to") if isinstance(item, Mapping) else None
        if entry is None or not isinstance(entry.value, Scalar):
            continue
        at, here = entry.at, (*path, index, "to")
        try:
            network = parse_destination(entry.value.text)
        except ValueError as error:
            problems.append(Problem(at, here, str(error)))
            continue
        if network in seen:
            text = f"{network} is given twice, first at {seen[network]}, expected one of the two"
            problems.append(Problem(at, here, text))
            continue
        seen[network] = at
        routes.append(Route(table, network))
    return routes, problems
