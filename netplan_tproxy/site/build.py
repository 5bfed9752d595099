"""From the nodes of a site file to a ``Site``, with every check that the schema cannot make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netplan_tproxy.site.model import AF_INET, Site
from netplan_tproxy.site.sections.checks import read_checks
from netplan_tproxy.site.sections.consistency import inconsistencies
from netplan_tproxy.site.sections.fastpath import read_fastpath
from netplan_tproxy.site.sections.interfaces import read_interfaces
from netplan_tproxy.site.sections.marks import read_marks
from netplan_tproxy.site.sections.proxy import read_proxy
from netplan_tproxy.site.sections.route_files import read_route_files
from netplan_tproxy.site.sections.routes import DEFAULT_TABLE, declared_tables, read_routes
from netplan_tproxy.site.sections.rules import RuleNames, default_rules, read_rules
from netplan_tproxy.site.sections.selection import SelectionReader
from netplan_tproxy.site.sections.sysctls import parse_name, read_sysctls
from netplan_tproxy.site.sections.tables import parse_table
from netplan_tproxy.site.yaml.nodes import Scalar, children, section, without

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from netplan_tproxy.site.model import Route, Rule
    from netplan_tproxy.site.yaml.nodes import Mapping, Node
    from netplan_tproxy.site.yaml.problem import Path, Position, Problem

DEFAULT_NAME = "default"
DEFAULT_ATTACH = "auto"


def build(root: Mapping, bad: AbstractSet[Path], source: str) -> tuple[Site, list[Problem]]:
    """Return the site and its problems; with problems, the site is not to be used.

    ``bad`` are the paths already reported; what stands there is not looked at. ``source`` is the
    path of the file.
    """
    usable = without(root, bad)
    interfaces, interface_problems = read_interfaces(section(usable, "interfaces"))
    proxy, proxy_problems = read_proxy(section(usable, "proxy"))
    marks, mark_problems = read_marks(
        section(usable, "marks"), complete=not any(path[:1] == ("marks",) for path in bad)
    )
    families = proxy.families or (AF_INET,)
    routes, route_problems = _routes(usable, families, source)
    rules, rule_problems = _rules(
        root, usable, RuleNames(marks, _tables(root, routes), families), bad
    )
    sysctls, sysctl_problems = read_sysctls(section(usable, "sysctls"))
    selection = SelectionReader(marks["intercept"], source)
    policy = selection.read(section(usable, "intercept"), section(usable, "bypass"))
    checks, check_problems = read_checks(usable.child("checks"))
    fastpath, fastpath_problems = read_fastpath(section(usable, "fastpath"))
    problems = [
        *interface_problems,
        *proxy_problems,
        *mark_problems,
        *route_problems,
        *rule_problems,
        *sysctl_problems,
        *selection.problems,
        *check_problems,
        *fastpath_problems,
    ]
    where, texts = ({}, {}) if problems or bad else _index(root)
    site = Site(
        name=str(usable.scalar("site", DEFAULT_NAME)),
        interfaces=interfaces,
        proxy=proxy,
        intercept_mark=marks["intercept"],
        bypass_mark=marks["bypass"],
        routes=routes,
        rules=rules,
        sysctls=sysctls,
        policy=policy,
        checks=checks,
        fastpath=fastpath,
        attach=str(usable.scalar("attach", DEFAULT_ATTACH)),
        source=source,
        where=where,
        texts=texts,
    )
    if not problems and not bad:
        problems = inconsistencies(site, root)
    return site, problems


def _routes(
    usable: Mapping, families: tuple[int, ...], source: str
) -> tuple[tuple[Route, ...], list[Problem]]:
    tables, problems = read_routes(section(usable, "route_tables"), families, source)
    listed, wrong = read_route_files(usable, source, tables)
    return (*tables, *listed), [*problems, *wrong]


def _tables(root: Mapping, routes: Iterable[Route]) -> tuple[int, ...]:
    """Return the numbers of the tables that the file is about."""
    tables = [*declared_tables(root.child("route_tables")), *(route.table for route in routes)]
    return tuple(dict.fromkeys(tables)) or (DEFAULT_TABLE,)


def _rules(
    root: Mapping,
    usable: Mapping,
    known: RuleNames,
    bad: AbstractSet[Path],
) -> tuple[tuple[Rule, ...], list[Problem]]:
    if root.get("rules") is None:
        declared = root.get("route_tables")
        return default_rules(known, declared.at if declared else root.at)
    entry = usable.get("rules")
    return read_rules(entry, known, bad) if entry else ((), [])


def _index(root: Mapping) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
    """Return line and column, and the text of every plain value as the file has it, by path.

    The places also by the canonical form of the keys that ``Site`` holds.
    """
    where: dict[str, Position] = {}
    texts: dict[str, str] = {}
    _add(root, "", where, texts)
    for entry in section(root, "sysctls").entries:
        where[f"sysctls.{parse_name(entry.key)}"] = entry.at
    for entry in section(root, "route_tables").entries:
        table = f"route_tables.{parse_table(entry.key)}"
        if table not in where:
            where[table] = entry.at
            _add(entry.value, table, where, {})
    if port := where.get("proxy.port"):
        where |= {"proxy.tcp": port, "proxy.tcp.port": port}
    return {path: (at.line, at.column) for path, at in where.items()}, texts


def _add(node: Node, path: str, where: dict[str, Position], texts: dict[str, str]) -> None:
    """Add what is below ``node``, whose path is ``path``, as ``joined`` has it."""
    for name, at, child in children(node):
        below = f"{path}[{name}]" if isinstance(name, int) else f"{path}.{name}" if path else name
        where[below] = at
        if isinstance(child, Scalar):
            texts[below] = child.text
        else:
            _add(child, below, where, texts)
