"""What the words of one route mean together, wherever they stand: in YAML or in a line."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from netplan_tproxy.site.model import AF_INET, AF_INET6, Hop, Route
from netplan_tproxy.site.sections.networks import (
    UnfitNetworkError,
    parse_address,
    parse_network,
    written,
)
from netplan_tproxy.site.sections.tables import MAIN
from netplan_tproxy.system.text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netplan_tproxy.site.yaml.problem import Path

TYPES = ("unicast", "local", "blackhole", "unreachable", "prohibit", "throw")
REFUSING = TYPES[2:]
SCOPES = ("global", "site", "link", "host")
PREFERENCES = ("low", "medium", "high")
FAMILIES = {"ipv4": AF_INET, "ipv6": AF_INET6}
EVERYTHING = {AF_INET: "0.0.0.0/0", AF_INET6: "::/0"}
# What the kernel keeps as it is: above it cuts (RTAX_MTU, RTAX_ADVMSS).
LIMITS = {
    "metric": (0, 0xFFFFFFFF),
    "mtu": (68, 65520),
    "advmss": (1, 65495),
    "initcwnd": (1, 65535),
    "weight": (1, 256),
}
_SETTLED = ("mtu", "advmss", "initcwnd")
_METRIC_OF_IPV6 = 1024  # what the kernel fills in
_NAMES = {AF_INET: "IPv4", AF_INET6: "IPv6"}
_WAYS = ("via", "dev", "nexthops", "onlink")
_LINK_LOCAL = 0xFE80 >> 6


class UnfitRouteError(ValueError):
    """What is wrong with one value of a route: the end of a message.

    ``path`` leads to the value; ``kind`` says the same without a word of the file.
    """

    def __init__(self, path: Path, kind: str, text: str | None = None) -> None:
        """Take where and what is wrong, and the text that is shown before it."""
        super().__init__(kind if text is None else f"{shown(text)} {kind}")
        self.path = path
        self.kind = kind


def route_of(table: int, values: Mapping[str, Any]) -> Route:
    """Return the route of ``values``, which are each right by themselves.

    Raises UnfitRouteError.
    """
    to, family = _destination(values)
    kind = _type(table, values)
    _require_fit(kind, family, values)
    route = Route(
        table, to, kind,
        dev=str(values.get("dev", "lo" if kind == "local" else "")),
        src=_address(values, "src", family) if "src" in values else "",
        metric=_metric(values, family),
        scope=str(values.get("scope", "")),
        onlink=bool(values.get("onlink", False)),
        pref=_preference(values),
        mtu=int(values.get("mtu", 0)),
        advmss=int(values.get("advmss", 0)),
        initcwnd=int(values.get("initcwnd", 0)),
    )  # fmt: skip
    if "nexthops" in values:
        scope = "" if route.scope == "global" else route.scope
        return replace(route, nexthops=_hops(values["nexthops"], family, route), scope=scope)
    via = _gateway(values, family, (), route) if "via" in values else ""
    route = replace(route, via=via)
    if kind == "unicast" and not (via or route.dev):
        raise UnfitRouteError(("to",), "leads nowhere, expected via, dev or nexthops")
    if kind == "unicast" and family == AF_INET6 and route.dev == "lo":
        # The kernel makes it one that refuses, without the rest of it.
        raise UnfitRouteError(("dev",), "is no way out for IPv6, expected a type such as local")
    usual = "global" if via else "link"
    if via and route.scope in {"link", "host"}:
        raise UnfitRouteError(("scope",), "is not that of a route via a gateway, expected global")
    return replace(route, scope="") if route.scope == usual else route


def _destination(values: Mapping[str, Any]) -> tuple[str, int]:
    named = FAMILIES.get(str(values.get("family")))
    if values["to"] == "default":
        family = named or AF_INET
        return EVERYTHING[family], family
    try:
        network = parse_network(values["to"])
    except UnfitNetworkError as unfit:
        error = UnfitRouteError(("to",), unfit.kind)
        error.args = (str(unfit),)
        raise error from unfit
    if named not in {None, network.family}:
        kind = f"is not that of the network, expected ipv{4 if network.family == AF_INET else 6}"
        raise UnfitRouteError(("family",), kind)
    return str(network), network.family


def _type(table: int, values: Mapping[str, Any]) -> str:
    if "type" in values:
        return str(values["type"])
    if "via" in values or "nexthops" in values or values.get("dev", "lo") != "lo":
        return "unicast"
    if table == MAIN:
        raise UnfitRouteError(("to",), "has no type, which table main needs, expected one")
    return "local"


def _require_fit(kind: str, family: int, values: Mapping[str, Any]) -> None:
    """Refuse what means nothing, or what the kernel refuses, beside the others."""
    unfit: dict[str, str] = {}
    if kind in REFUSING:
        unfit = dict.fromkeys(
            (*_WAYS, "src", "scope", "pref", *_SETTLED), f"a route of type {kind}"
        )
    elif kind == "local":
        unfit = dict.fromkeys(("via", "nexthops", "onlink", "scope"), "a route of type local")
    if family == AF_INET:
        unfit["pref"] = "a route of IPv4"
    else:
        unfit["scope"] = "a route of IPv6"
    if "nexthops" in values:
        unfit |= dict.fromkeys(("via", "dev"), "a route with nexthops")
    for key, what in unfit.items():
        if key in values:
            raise UnfitRouteError((key,), f"means nothing to {what}, expected absent")


def _metric(values: Mapping[str, Any], family: int) -> int:
    metric = int(values.get("metric", 0))
    return 0 if family == AF_INET6 and metric == _METRIC_OF_IPV6 else metric


def _preference(values: Mapping[str, Any]) -> str:
    given = str(values.get("pref", ""))
    return "" if given == "medium" else given


def _address(values: Mapping[str, Any], key: str, family: int, above: Path = ()) -> str:
    text = str(values[key])
    try:
        return written(family, parse_address(family, text))
    except ValueError:
        kind = f"is not an {_NAMES[family]} address"
        raise UnfitRouteError((*above, key), kind, text) from None


def _gateway(values: Mapping[str, Any], family: int, above: Path, route: Route) -> str:
    """Return the gateway; that of an IPv4 route may be of IPv6 (RFC 5549)."""
    own = AF_INET6 if ":" in str(values["via"]) and family == AF_INET else family
    via = _address(values, "via", own, above)
    local = own == AF_INET6 and parse_address(own, via) >> 118 == _LINK_LOCAL
    if "dev" not in values and (local or own != family or route.onlink):
        which = "is onlink" if route.onlink else "is by IPv6"
        which = "is link-local" if local else which
        raise UnfitRouteError((*above, "via"), f"{which}, expected dev beside it")
    return via


def _hops(given: list[Mapping[str, Any]], family: int, route: Route) -> tuple[Hop, ...]:
    """Return the ways in the one order: the kernel's is not always that of the file."""
    hops: dict[tuple[str, str], Hop] = {}
    for index, values in enumerate(given):
        above: Path = ("nexthops", index)
        if "via" not in values and (family == AF_INET6 or "dev" not in values or route.onlink):
            kind = "has no via" if family == AF_INET6 else "leads nowhere"
            raise UnfitRouteError(above, f"{kind}, expected such as {{via: ADDRESS, dev: NAME}}")
        via = _gateway(values, family, above, route) if "via" in values else ""
        if via and route.scope in {"link", "host"}:
            kind = "is not that of a route via a gateway, expected global"
            raise UnfitRouteError(("scope",), kind)
        hop = Hop(via, str(values.get("dev", "")), int(values.get("weight", 1)))
        if (hop.via, hop.dev) in hops:
            raise UnfitRouteError(above, "is given twice, expected once with a weight")
        hops[hop.via, hop.dev] = hop
    return tuple(sorted(hops.values()))
