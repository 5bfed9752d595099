"""Route tables and the routes they hold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from netplan_tproxy.errors import Place
from netplan_tproxy.site.model import Route
from netplan_tproxy.site.sections.route_values import EVERYTHING, UnfitRouteError, route_of
from netplan_tproxy.site.sections.tables import parse_table
from netplan_tproxy.site.yaml.nodes import Mapping, Scalar, Sequence
from netplan_tproxy.site.yaml.problem import Path, Position, Problem
from netplan_tproxy.system.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netplan_tproxy.site.yaml.nodes import Node

DEFAULT_TABLE = 100
# What the kernel goes by: table, destination, metric.
Slot = tuple[int, str, int]


def read_routes(
    section: Mapping, families: Iterable[int], source: str
) -> tuple[tuple[Route, ...], list[Problem]]:
    """Return the routes in the order of the file, and what is wrong.

    The default is everything of each of the ``families``. ``source`` is the file's path.
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
        in_table, wrong = _read_table(table, entry.value, path, source)
        routes += in_table
        problems += wrong
    if not section.entries:
        routes = [Route(DEFAULT_TABLE, EVERYTHING[family]) for family in families]
    return tuple(routes), problems


def declared_tables(node: Node | None) -> tuple[int, ...]:
    """Return the usable table numbers in ``route_tables``, even where their routes are wrong."""
    if not isinstance(node, Mapping) or not node.entries:
        return ()
    tables = []
    for entry in node.entries:
        try:
            tables.append(parse_table(entry.key))
        except ValueError:
            continue
    return tuple(dict.fromkeys(tables))


def _read_table(
    table: int, node: Node, path: Path, source: str
) -> tuple[list[Route], list[Problem]]:
    routes: list[Route] = []
    problems: list[Problem] = []
    seen: dict[Slot, Position] = {}
    for index, item in enumerate(node.items if isinstance(node, Sequence) else ()):
        entry = item.get("to") if isinstance(item, Mapping) else None
        if not isinstance(item, Mapping) or entry is None or not isinstance(entry.value, Scalar):
            continue
        here = (*path, index)
        try:
            route = route_of(table, _values(item))
        except UnfitRouteError as error:
            at = _position(item, error.path)
            problems.append(Problem(at, (*here, *error.path), str(error)))
            continue
        slot = slot_of(route)
        if slot in seen:
            metric = f" with metric {route.metric}" if route.metric else ""
            text = (
                f"{route.to}{metric} is given twice, first at {seen[slot]}, expected one of the two"
            )
            problems.append(Problem(entry.at, (*here, "to"), text))
            continue
        seen[slot] = entry.at
        place = Place(printable(source), item.at.line, item.at.column)
        routes.append(replace(route, place=place))
    return routes, problems


def slot_of(route: Route) -> Slot:
    """Return what no two routes may have in common."""
    return route.table, route.to, route.metric


def _values(item: Mapping) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for entry in item.entries:
        if isinstance(entry.value, Scalar) and entry.value.value is not None:
            text = entry.key in {"to", "via", "src", "dev"}
            values[entry.key] = entry.value.text if text else entry.value.value
        elif isinstance(entry.value, Sequence):
            hops = [hop for hop in entry.value.items if isinstance(hop, Mapping)]
            values[entry.key] = [_values(hop) for hop in hops]
    return values


def _position(item: Mapping, path: Path) -> Position:
    """Return the place of what ``path`` names in a route, or of what it would stand in."""
    at: Position = item.at
    node: Node = item
    for part in path:
        if isinstance(node, Mapping) and (entry := node.get(str(part))) is not None:
            at, node = entry.at, entry.value
        elif isinstance(node, Sequence) and isinstance(part, int):
            node = node.items[part]
            at = node.at
    return at
