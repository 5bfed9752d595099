"""Whether the sections of a site file, each right by itself, go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netplan_tproxy.site.model import AF_INET6
from netplan_tproxy.site.sections.route_values import EVERYTHING
from netplan_tproxy.site.sections.tables import parse_table
from netplan_tproxy.site.yaml.nodes import NOWHERE, Mapping, section
from netplan_tproxy.site.yaml.problem import Path, Position, Problem

if TYPE_CHECKING:
    from netplan_tproxy.site.model import Site


def inconsistencies(site: Site, root: Mapping) -> list[Problem]:
    """Return what intercepted packets lack: routes of a family, a listener of a protocol."""
    return [*_routes(site, root), *_protocols(site, root)]


def _routes(site: Site, root: Mapping) -> list[Problem]:
    there = {(route.table, route.family) for route in site.routes if route.type == "local"}
    tables = _tables(root)
    problems: dict[Path, Problem] = {}
    for rule in site.rules:
        if rule.mark != site.intercept_mark:
            continue
        for family in site.proxy.families:
            # With no route of theirs, marked packets are routed as if nobody had marked them.
            if family not in rule.families or (rule.table, family) in there:
                continue
            path: Path = ("route_tables", str(rule.table))
            at, path = tables.get(rule.table, (NOWHERE, path))
            name = "IPv6" if family == AF_INET6 else "IPv4"
            text = (
                f"has no {name} route for the proxy's {name} listener, would have one such as "
                f"{{to: '{EVERYTHING[family]}', type: local, dev: lo}}"
            )
            problems.setdefault(path, Problem(at, path, text))
    return list(problems.values())


def _tables(root: Mapping) -> dict[int, tuple[Position, Path]]:
    """Return place and path of each table that the file names, by number."""
    return {
        parse_table(entry.key): (entry.at, ("route_tables", entry.key))
        for entry in section(root, "route_tables").entries
    }


def _protocols(site: Site, root: Mapping) -> list[Problem]:
    proxy = site.proxy
    there = {"tcp": proxy.tcp or proxy.tcp6, "udp": proxy.udp or proxy.udp6}
    named = site.policy.protocols
    entry = section(root, "intercept").get("protocols")
    if named is None or entry is None or any(there[name] for name in named):
        return []
    text = (
        f"proxy has no listener for {named[0]}, so nothing would be intercepted, expected "
        f"{next(name for name, listener in there.items() if listener)}"
    )
    return [Problem(entry.at, ("intercept", "protocols"), text)]
