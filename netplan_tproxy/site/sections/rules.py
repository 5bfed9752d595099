"""Policy rules: which mark is looked up in which table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netplan_tproxy.site.model import AF_INET, AF_INET6, Mark, Rule
from netplan_tproxy.site.sections.tables import parse_table
from netplan_tproxy.site.yaml.nodes import Entry, Mapping, Sequence
from netplan_tproxy.site.yaml.problem import Path, Position, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping as AbstractMapping
    from collections.abc import Set as AbstractSet

FAMILIES = {"ipv4": AF_INET, "ipv6": AF_INET6}
DEFAULT_PRIORITY = 1000  # what a rule without a priority gets


class RuleNames(NamedTuple):
    """What rules may name: marks, tables; ``families`` are those that have a listener."""

    marks: AbstractMapping[str, Mark]
    tables: tuple[int, ...]
    families: tuple[int, ...]


def default_rules(known: RuleNames, at: Position) -> tuple[tuple[Rule, ...], list[Problem]]:
    """Return the rule of a file that has none: the intercept mark in the only table.

    ``route_tables`` stands at ``at``. With several tables there is no default, but a problem.
    """
    marks, tables, families = known
    if len(tables) == 1:
        return (Rule(marks["intercept"], tables[0], families=families),), []
    text = f"missing with {len(tables)} route tables, expected something like '{_example(tables)}'"
    return (), [Problem(at, ("rules",), text)]


def read_rules(
    entry: Entry, known: RuleNames, bad: AbstractSet[Path]
) -> tuple[tuple[Rule, ...], list[Problem]]:
    """Return the rules in the order of the file, and what is wrong with them.

    A rule that names no family is one of all families that have a listener. ``bad`` are
    paths already reported: a priority that is wrong is not one left out.
    """
    marks, tables, families = known
    items = entry.value.items if isinstance(entry.value, Sequence) else ()
    rules: list[Rule] = []
    problems: list[Problem] = []
    priorities = _Priorities()
    for index, item in enumerate(items):
        if not isinstance(item, Mapping):
            continue
        own = _families(item, families)
        if not bad & {("rules", index, "priority"), ("rules", index, "family")}:
            problems += _priority_problem(item, index, own, priorities)
        rule, wrong = _read_rule(item, ("rules", index), marks, tables, own)
        problems += wrong
        rules += [rule] if rule else []
    if items and len(rules) == len(items) and not problems:
        problems += _uncovered(rules, marks["intercept"], tables, families, entry.at)
    return tuple(rules), problems


def _families(item: Mapping, families: tuple[int, ...]) -> tuple[int, ...]:
    named = item.scalar("family")
    return (FAMILIES[named],) if isinstance(named, str) and named in FAMILIES else families


def _read_rule(
    item: Mapping,
    path: Path,
    marks: AbstractMapping[str, Mark],
    tables: tuple[int, ...],
    families: tuple[int, ...],
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
        text = f"table {table} is not defined in route_tables, expected {known}"
        return None, [Problem(entry.at, here, text)]
    if named not in marks:
        return None, []
    number = item.scalar("priority")
    priority = number if isinstance(number, int) else None
    return Rule(marks[str(named)], table, priority, families), []


class _Priorities:
    """The priorities given so far. Each family has a list of rules of its own (ip-rule(8))."""

    def __init__(self) -> None:
        self._rules: dict[tuple[int, int], int] = {}
        self._free = DEFAULT_PRIORITY

    def take(self, number: int, families: tuple[int, ...], index: int) -> int | None:
        """Give ``number`` to rule ``index``. Return the rule that has it already, or None."""
        owners = [self._rules.setdefault((family, number), index) for family in families]
        return next((owner for owner in owners if owner != index), None)

    def free(self) -> int:
        """Return a priority that no family has given yet."""
        while any((family, self._free) in self._rules for family in FAMILIES.values()):
            self._free += 1
        return self._free


def _priority_problem(
    item: Mapping, index: int, families: tuple[int, ...], priorities: _Priorities
) -> list[Problem]:
    """Return what is wrong with the priority of rule ``index``."""
    entry = item.get("priority")
    number = item.scalar("priority", DEFAULT_PRIORITY)
    if not isinstance(number, int):
        return []
    other = priorities.take(number, families, index)
    if other is None:
        return []
    default = "" if entry else " (the default)"
    text = (
        f"priority {number}{default} is that of rules[{other}], expected another such as "
        f"{priorities.free()}"
    )
    return [Problem(entry.at if entry else item.at, ("rules", index, "priority"), text)]


def _uncovered(
    rules: list[Rule],
    intercept: Mark,
    tables: tuple[int, ...],
    families: tuple[int, ...],
    at: Position,
) -> list[Problem]:
    covered = {family for rule in rules if rule.mark == intercept for family in rule.families}
    wanted = {name: family for name, family in FAMILIES.items() if family in families}
    missing = [name for name, family in wanted.items() if family not in covered]
    if not missing:
        return []
    family = "" if len(missing) == len(families) else f" and family {missing[0]}"
    text = f"no rule for mark 'intercept'{family}, expected '{_example(tables)}'"
    return [Problem(at, ("rules",), text)]


def _example(tables: tuple[int, ...]) -> str:
    table = tables[0] if tables else 100
    return f"rules: [{{mark: intercept, table: {table}}}]"
