"""Site files that are right, and yet do nothing or do harm: what to warn of. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from netplan_tproxy.site.address_set import EVERY_ADDRESS, AddressSet, of_family
from netplan_tproxy.site.model import AF_INET, AF_INET6, LISTENERS, PROTOCOLS
from netplan_tproxy.site.sections.networks import parse_network, prefixes
from netplan_tproxy.site.sections.ports import EVERY_PORT, port_range
from netplan_tproxy.site.sections.route_values import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from netplan_tproxy.errors import Place
    from netplan_tproxy.site.model import Ports, Prefix, Site

_FAMILY_NAMES = {AF_INET: "IPv4", AF_INET6: "IPv6"}


@dataclass(frozen=True, slots=True)
class SiteWarning:
    """Something in a site file that is hardly meant so. ``code`` stays when the words change."""

    code: str
    place: Place
    path: str
    message: str

    def __str__(self) -> str:
        """Return the finished line."""
        return f"{self.place}: {self.path}: {self.message}"


def warnings(site: Site, routed: Collection[int] = ()) -> list[SiteWarning]:
    """Return what in ``site`` does nothing or does harm, in the order of the file.

    ``routed`` are the address families of this host's default routes.
    """
    by_line = {
        str(warning): warning
        for warning in (
            *_nothing_left(site),
            *_left_alone(site),
            *_without_listener(site),
            *_idle_fastpath(site),
            *_cut_off(site),
            *_without_route(site),
            *_direct(site, routed),
        )
    }
    return sorted(by_line.values(), key=lambda warning: (warning.place.line, warning.place.column))


def _warning(site: Site, code: str, path: str, message: str) -> SiteWarning:
    return SiteWarning(code, site.place(path), path, message)


def _nothing_left(site: Site) -> Iterator[SiteWarning]:
    """Yield where bypass takes all of a family, or intercept names nothing of it."""
    policy, code = site.policy, "nothing-intercepted"
    if _within(policy.intercept_ports or EVERY_PORT, policy.bypass_ports):
        message = "leaves alone every port that is intercepted, so nothing is intercepted"
        yield _warning(site, code, "bypass.ports", message)
    for key, wanted, bypassed in (
        ("from", policy.intercept_from, policy.bypass_from),
        ("to", policy.intercept_to, policy.bypass_to),
    ):
        left_alone = AddressSet(bypassed)
        for family, listener in _served(site).items():
            name, members = _FAMILY_NAMES[family], of_family(wanted, family)
            if not members:
                message = f"gets nothing, as intercept.{key} names no {name} network"
                yield _warning(site, code, f"proxy.{listener}", message)
            elif left_alone.holds_all(members):
                path = _decisive(site, f"bypass.{key}", members)
                message = f"leaves alone all of {name} that would be intercepted, so nothing is"
                yield _warning(site, code, path, message)


def _left_alone(site: Site) -> Iterator[SiteWarning]:
    """Yield each item of intercept that bypass takes back."""
    policy, code = site.policy, "left-alone"
    for key, bypassed in (("from", policy.bypass_from), ("to", policy.bypass_to)):
        items = list(_items(site, f"intercept.{key}"))
        left_alone = AddressSet(bypassed if items else ())
        for path, text in items:
            if left_alone.holds_all(prefixes([parse_network(text)])):
                message = f"{text} is within bypass.{key}, so it is left alone"
                yield _warning(site, code, path, message)
    for path, text in _items(site, "intercept.ports"):
        if _within((port_range(text),), policy.bypass_ports):
            message = f"{text} is within bypass.ports, so it is left alone"
            yield _warning(site, code, path, message)


def _without_listener(site: Site) -> Iterator[SiteWarning]:
    """Yield each item of intercept that is of a family, or a protocol, without a listener."""
    served, code = _served(site), "no-listener"
    for key in ("from", "to"):
        for path, text in _items(site, f"intercept.{key}"):
            family = parse_network(text).family
            if family not in served:
                message = (
                    f"{text} does nothing, as proxy has no listener for {_FAMILY_NAMES[family]}"
                )
                yield _warning(site, code, path, message)
    listening = {name.removesuffix("6") for name in _listening(site)}
    for path, protocol in _items(site, "intercept.protocols"):
        if protocol not in listening:
            message = f"{protocol} does nothing, as proxy has no listener for it"
            yield _warning(site, code, path, message)


def _idle_fastpath(site: Site) -> Iterator[SiteWarning]:
    """Yield why no connection takes the fast path, although it is enabled."""
    policy, ports = site.policy, site.fastpath.ports
    if not site.fastpath.enabled:
        return
    if not {"tcp", "tcp6"} & set(_listening(site)):
        message = "does nothing, as proxy has no listener for tcp"
        yield _warning(site, "no-listener", "fastpath.enabled", message)
    if ports and all(
        _within((one,), policy.bypass_ports)
        or not _touches(one, policy.intercept_ports or EVERY_PORT)
        for one in ports
    ):
        message = "does nothing, as none of these ports is intercepted"
        yield _warning(site, "left-alone", "fastpath.ports", message)


def _cut_off(site: Site) -> Iterator[SiteWarning]:
    """Yield each rule that delivers the proxy's own connections to this host."""
    local = {route.table for route in site.routes if route.type == "local"}
    for index, rule in enumerate(site.rules):
        if rule.mark == site.bypass_mark and rule.table in local:
            message = (
                f"sends what carries the bypass mark to this host (table {rule.table} has local "
                "routes), so the proxy's own connections reach nobody"
            )
            yield _warning(site, "proxy-cut-off", f"rules[{index}]", message)


def _without_route(site: Site) -> Iterator[SiteWarning]:
    """Yield each family of which intercepted packets have no local route."""
    for family in _served(site):
        tables = [
            rule.table
            for rule in site.rules
            if rule.mark == site.intercept_mark and family in rule.families
        ]
        networks = [
            parse_network(route.to)
            for route in site.routes
            if route.table in tables and route.family == family and route.type == "local"
        ]
        wanted = of_family(site.policy.intercept_to, family)
        routed = prefixes(networks)
        if not tables or AddressSet(routed).holds_all(wanted):
            continue
        if not AddressSet([*routed, *site.policy.bypass_to]).holds_all(wanted):
            message = (
                f"has no route for some of what is intercepted over {_FAMILY_NAMES[family]}, which "
                f"does not reach the proxy, expected something like {{to: '{EVERYTHING[family]}'}}"
            )
            yield _warning(site, "no-route", f"route_tables.{tables[0]}", message)


def _direct(site: Site, routed: Collection[int]) -> Iterator[SiteWarning]:
    """Yield what goes out directly beside a policy that is about every destination."""
    every = site.policy.intercept_to is None or any(
        AddressSet(site.policy.intercept_to).holds_all(EVERY_ADDRESS[family])
        for family in _served(site)
    )
    listening = _listening(site)
    protocols = [name for name in PROTOCOLS if {name, f"{name}6"} & set(listening)]
    for family in sorted(routed):
        names = [f"{name}6" if family == AF_INET6 else name for name in protocols]
        missing = [name for name in names if name not in listening]
        if every and missing:
            message = (
                f"has no {' and no '.join(missing)}, and this host has a default route over "
                f"{_FAMILY_NAMES[family]}: all of that goes out directly"
            )
            yield _warning(site, "goes-direct", "proxy", message)


def _listening(site: Site) -> list[str]:
    """Return the names of the listeners that get something."""
    protocols = PROTOCOLS if site.policy.protocols is None else site.policy.protocols
    given = site.proxy.listeners
    return [name for name in LISTENERS if given[name] and name.removesuffix("6") in protocols]


def _served(site: Site) -> dict[int, str]:
    """Return the families that have a listener, each with the name of its first one."""
    first: dict[int, str] = {}
    for name in _listening(site):
        first.setdefault(AF_INET6 if name.endswith("6") else AF_INET, name)
    return first


def _items(site: Site, path: str) -> Iterator[tuple[str, str]]:
    """Yield path and text of each item of a list of the file."""
    for index in count():
        text = site.texts.get(f"{path}[{index}]")
        if text is None:
            return
        yield f"{path}[{index}]", text


def _decisive(site: Site, path: str, members: tuple[Prefix, ...]) -> str:
    """Return the path of the item that holds all ``members`` by itself, or of their list."""
    for item, text in _items(site, path):
        if AddressSet(prefixes([parse_network(text)])).holds_all(members):
            return item
    return path if path in site.where else f"{path}_files"


def _within(ports: Ports, others: Ports) -> bool:
    """Return whether every port is among the others, which are merged."""
    return all(any(low <= first and last <= high for low, high in others) for first, last in ports)


def _touches(one: tuple[int, int], others: Ports) -> bool:
    """Return whether any port of a range is among the others."""
    return any(one[0] <= high and low <= one[1] for low, high in others)
