"""Policy rules: which mark is looked up in which table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netplan_tproxy.site.model import Mark, Rule
from netplan_tproxy.site.nodes import Entry, Mapping, Sequence
from netplan_tproxy.site.problem import Path, Position, Problem
from netplan_tproxy.site.routes import parse_table

if TYPE_CHECKING:
    from collections.abc import Mapping as AbstractMapping
    from collections.abc import Set as AbstractSet

DEFAULT_PRIORITY = 1000  # what a rule without a priority gets


def default_rules(
    marks: AbstractMapping[str, Mark], tables: tuple[int, ...], at: Position
) -> tuple[tuple[Rule, ...], list[Problem]]:
    """Return the rule of a file that has none: the intercept mark in the only table.

    ``tables`` are those of ``route_tables``, which stands at ``at``; with several, the rule is
    not for us to choose, and that is the problem returned.
    """
    if len(tables) == 1:
        return (Rule(marks["intercept"], tables[0]),), []
    text = f"missing with {len(tables)} route tables, would be such as '{_example(tables)}'"
    return (), [Problem(at, ("rules",), text)]


def read_rules(
    entry: Entry,
    marks: AbstractMapping[str, Mark],
    tables: tuple[int, ...],
    bad: AbstractSet[Path],
) -> tuple[tuple[Rule, ...], list[Problem]]:
    """Return the rules in the order of the file, and what is wrong with them.

    ``bad`` are paths already reported: a priority that is wrong is not one left out.
    """
    items = entry.value.items if isinstance(entry.value, Sequence) else ()
    rules: list[Rule] = []
    problems: list[Problem] = []
    priorities: dict[int, int] = {}
    for index, item in enumerate(items):
        if not isinstance(item, Mapping):
            continue
        if ("rules", index, "priority") not in bad:
            problems += _priority_problem(item, index, priorities)
        rule, wrong = _read_rule(item, ("rules", index), marks, tables)
        problems += wrong
        rules += [rule] if rule else []
    if items and len(rules) == len(items) and not problems:
        problems += _uncovered(rules, marks["intercept"], tables, entry.at)
    return tuple(rules), problems


def _read_rule(
    item: Mapping, path: Path, marks: AbstractMapping[str, Mark], tables: tuple[int, ...]
) -> tuple[Rule | None, list[Problem]]:
    named, entry = item.scalar("mark"), item.get("table")
    if entry is None:
        return None, []
    here = (*path, "table")
    try:
        table = parse_table(str(item.scalar("table")))
    except ValueError as error:
        return None, [Problem(entry.at, here, str(error))]
    if table not in tables:
        known = " or ".join(map(str, tables[:4])) or "one that is"
        text = f"table {table} is not defined in route_tables, would be {known}"
        return None, [Problem(entry.at, here, text)]
    if named not in marks:
        return None, []
    priority = item.scalar("priority")
    return Rule(marks[str(named)], table, priority if isinstance(priority, int) else None), []


def _priority_problem(item: Mapping, index: int, seen: dict[int, int]) -> list[Problem]:
    """Return what is wrong with the priority of rule ``index``; notes it in ``seen``."""
    entry = item.get("priority")
    number = item.scalar("priority", DEFAULT_PRIORITY)
    if not isinstance(number, int):
        return []
    first = seen.setdefault(number, index)
    if first == index:
        return []
    free = next(
        n for n in range(DEFAULT_PRIORITY, DEFAULT_PRIORITY + len(seen) + 1) if n not in seen
    )
    default = "" if entry else " (the default)"
    text = f"priority {number}{default} is that of rules[{first}], would be another such as {free}"
    return [Problem(entry.at if entry else item.at, ("rules", index, "priority"), text)]


def _uncovered(
    rules: list[Rule], intercept: Mark, tables: tuple[int, ...], at: Position
) -> list[Problem]:
    if any(rule.mark == intercept for rule in rules):
        return []
    text = f"no rule for mark 'intercept', would be '{_example(tables)}'"
    return [Problem(at, ("rules",), text)]


def _example(tables: tuple[int, ...]) -> str:
    table = tables[0] if tables else 100
    return f"rules: [{{mark: intercept, table: {table}}}]"
