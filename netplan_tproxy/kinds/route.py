"""Kind ``route``: routes of the tables the site file names (ip-route(8))."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.protocol import OUR_PROTOCOL
from netplan_tproxy.datapath.snapshot import Snapshot
from netplan_tproxy.datapath.wanted import Wanted
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.netlink.links import Link
from netplan_tproxy.kernel.netlink.route_message import (
    PREFERENCES,
    REFUSING,
    SCOPES,
    HopRecord,
    RouteRecord,
)
from netplan_tproxy.kernel.netlink.routing import putting_route, removing_route
from netplan_tproxy.resource.kind import BatchKind, Ends
from netplan_tproxy.resource.ranks import Rank
from netplan_tproxy.resource.values import Devices, Resource, name_now
from netplan_tproxy.site.model import AF_INET, AF_INET6
from netplan_tproxy.site.model import Route as SiteRoute

FAMILIES = (AF_INET, AF_INET6)
_MAIN = 254
_SPARSE = {"sparse": True}
_NUMBERS = {name: number for number, name in SCOPES.items()}
_PREF_NUMBERS = {name: number for number, name in PREFERENCES.items()}
# A way of several: gateway, device, weight.
Hop = tuple[str, str, int]


def _sparse(default: Any) -> Any:
    return field(default=default, metadata=_SPARSE)


@dataclass(frozen=True)
class Route(Resource):
    """A route of one table; ``plain`` is False for one with more than type and device.

    That more is in the fields behind ``mac``, of which ``more`` says that there is what none of
    them holds. In a ledger of an earlier version they are all empty, whatever the route has.
    """

    kind: ClassVar[str] = "route"

    family: int
    table: int
    to: str
    type: str
    dev: str
    protocol: int = OUR_PROTOCOL
    plain: bool = True
    ifindex: int = field(default=0, compare=False)
    raw: str = field(default="", compare=False)
    mac: str = field(default="", compare=False)
    via: str = _sparse("")
    src: str = _sparse("")
    metric: int = _sparse(0)
    scope: str = _sparse("")
    mtu: int = _sparse(0)
    advmss: int = _sparse(0)
    initcwnd: int = _sparse(0)
    onlink: bool = _sparse(default=False)
    pref: str = _sparse("")
    nexthops: tuple[Hop, ...] = _sparse(())
    more: bool = _sparse(default=False)
    place: str = field(default="", compare=False, metadata={"transient": True})

    def __post_init__(self) -> None:
        # JSON has lists.
        hops = tuple((via, dev, weight) for via, dev, weight in self.nexthops)
        object.__setattr__(self, "nexthops", hops)

    @property
    def key(self) -> str:
        metric = f" metric {self.metric}" if self.metric else ""
        return f"{self.family} {self.table} {self.to}{metric}"

    @property
    def rank(self) -> Rank:
        return Rank.ROUTE

    @property
    def turn(self) -> int:
        # A gateway is reached by a route on a link, which may be ours, too.
        return int(bool(self.via or any(via for via, _, _ in self.nexthops)))

    @property
    def title(self) -> str:
        to = "default" if self.to in {"0.0.0.0/0", "::/0"} else self.to
        version = " -6" if self.family == AF_INET6 else ""
        metric = f" metric {self.metric}" if self.metric else ""
        return f"route{version} {to} table {self.table}{metric}"

    @property
    def parts(self) -> tuple[str, ...]:
        dev = "" if self.type in REFUSING else self.dev
        words = [
            f"{key} {value}"
            for key in ("src", "scope", "mtu", "advmss", "initcwnd", "pref")
            if (value := getattr(self, key))
        ]
        hops = (f"nexthop{_way(via, to)} weight {weight}" for via, to, weight in self.nexthops)
        flags = ["onlink"] if self.onlink else []
        unknown = self.more or (not self.plain and not self.details)
        extra = ["with more"] if unknown else []
        return (" ".join([f"{self.type}{_way(self.via, dev)}", *words, *flags, *hops, *extra]),)

    @property
    def signed(self) -> bool:
        return self.protocol == OUR_PROTOCOL

    @property
    def restorable(self) -> bool:
        # In the main table nothing of others is taken over.
        return self.table != _MAIN or self.signed

    def follow(self, devices: Devices) -> Resource | None:
        if not self.dev:
            return self
        dev = name_now(self.dev, self.ifindex, self.mac, devices)
        return replace(self, dev=dev) if dev else None

    def satisfied_by(self, live: Resource) -> bool:
        # The protocol says who made a route; it is no part of what it does, nor of its key.
        if not isinstance(live, Route) or (self.key, self.type) != (live.key, live.type):
            return False
        # IPv6 shows lo with what leads nowhere, and the kernel knows where a gateway is.
        free = self.type in REFUSING or (self.via and not self.dev)
        if not free and self.dev != live.dev:
            return False
        if self.is_summary or live.is_summary:
            return self.plain == live.plain
        return self.details == live.details and _same_ways(self.nexthops, live.nexthops)

    @property
    def details(self) -> tuple[Any, ...]:
        """All that is more than a plain route has, but for several ways; () for nothing."""
        details = (
            self.via, self.src, self.scope, self.mtu, self.advmss, self.initcwnd, self.onlink,
            self.pref, len(self.nexthops), self.more,
        )  # fmt: skip
        return details if any(details) else ()

    @property
    def is_summary(self) -> bool:
        """Whether it is of an earlier version, which only told that there is more."""
        return not self.plain and not self.details


def _way(via: str, dev: str) -> str:
    return (f" via {via}" if via else "") + (f" dev {dev}" if dev else "")


def _same_ways(wanted: Sequence[Hop], live: Sequence[Hop]) -> bool:
    """Whether ways are the same; one that names no device goes by any."""
    rest = list(live)
    for via, dev, weight in sorted(wanted, key=lambda hop: not hop[1]):
        for way in rest:
            if way == (via, dev or way[1], weight):
                rest.remove(way)
                break
        else:
            return False
    return not rest


class RouteKind(BatchKind[Route]):
    """The kernel knows a route by table, destination and metric."""

    resource = Route

    def desired(self, wanted: Wanted) -> Iterable[Route]:
        return [_wanted(route) for route in wanted.site.routes]

    def observe(self, seen: Snapshot, scope: Sequence[Route]) -> Iterable[Route]:
        links = {link.ifindex: link for link in seen.links.values()}
        tables = sorted({(route.family, route.table) for route in scope})
        records = [
            *(one for family in FAMILIES for one in seen.routes(family, proto=OUR_PROTOCOL)),
            *(one for family, table in tables for one in seen.routes(family, table=table)),
        ]
        by_key: dict[str, Route] = {}
        for record in records:
            route = _seen(record, links)
            # Of several at one key (`ip route append`) the first is the one that works.
            by_key.setdefault(route.key, route)
        return by_key.values()

    def make(self, kernel: Kernel, before: Route | None, after: Route | None) -> None:
        if after is not None:
            record = _record(kernel.links(), after)
            kernel.netlink.put_route(record, replace=before is not None, place=after.place)
        elif before is not None:
            kernel.netlink.del_route(_record(kernel.links(), before))

    def make_many(
        self, kernel: Kernel, changes: Sequence[Ends[Route]]
    ) -> Mapping[int, KernelError]:
        links = kernel.links()
        requests, numbers = [], []
        failures: dict[int, KernelError] = {}
        for number, (before, after) in enumerate(changes):
            try:
                if after is not None:
                    record = _record(links, after)
                    exists = before is not None
                    requests.append(putting_route(record, replace=exists, place=after.place))
                elif before is not None:
                    requests.append(removing_route(_record(links, before)))
            except KernelError as failure:
                failures[number] = failure
            else:
                numbers.append(number)
        refusals = kernel.netlink.make_all(requests)
        return failures | {numbers[place]: why for place, why in refusals.items()}


def _wanted(route: SiteRoute) -> Route:
    wanted = Route(
        route.family, route.table, route.to, route.type, route.dev,
        via=route.via, src=route.src, metric=route.metric, scope=route.scope, mtu=route.mtu,
        advmss=route.advmss, initcwnd=route.initcwnd, onlink=route.onlink, pref=route.pref,
        nexthops=tuple((hop.via, hop.dev, hop.weight) for hop in route.nexthops),
        place=str(route.place or ""),
    )  # fmt: skip
    return replace(wanted, plain=False) if wanted.details else wanted


def _seen(record: RouteRecord, links: Mapping[int, Link]) -> Route:
    link = links.get(record.ifindex)
    hops = (
        (hop.via, links[hop.ifindex].name if hop.ifindex in links else "", hop.weight)
        for hop in record.nexthops
    )
    return Route(
        record.family, record.table, record.to, record.type,
        link.name if link else "", record.protocol, not record.raw, record.ifindex,
        record.raw, link.mac if link else "",
        via=record.via, src=record.src, metric=record.metric,
        scope="" if record.scope is None else SCOPES.get(record.scope, str(record.scope)),
        mtu=record.mtu, advmss=record.advmss, initcwnd=record.initcwnd, onlink=record.onlink,
        pref=PREFERENCES.get(record.pref, str(record.pref)) if record.pref else "",
        nexthops=tuple(sorted(hops)), more=record.more,
    )  # fmt: skip


def _record(links: Mapping[str, Link], route: Route) -> RouteRecord:
    ifindex = _number(links, route, route.dev)
    if route.raw and ifindex != route.ifindex:
        message = f"{route.title}: {route.dev} is another interface now"
        raise KernelError(message)
    return RouteRecord(
        route.family, route.table, route.to, route.type, ifindex, route.protocol, route.raw,
        via=route.via, src=route.src, metric=route.metric,
        scope=_scope(route.scope), mtu=route.mtu, advmss=route.advmss, initcwnd=route.initcwnd,
        onlink=route.onlink, pref=_PREF_NUMBERS.get(route.pref, 0),
        nexthops=tuple(
            HopRecord(via, _number(links, route, dev), weight)
            for via, dev, weight in route.nexthops
        ),
    )  # fmt: skip


def _scope(name: str) -> int | None:
    if not name:
        return None
    return _NUMBERS[name] if name in _NUMBERS else int(name)


def _number(links: Mapping[str, Link], route: Route, dev: str) -> int:
    if not dev:
        return 0
    link = links.get(dev)
    if link is None:
        where = f"{route.place}: " if route.place else ""
        message = f"{where}{route.title}: no interface {dev}"
        raise KernelError(message)
    return link.ifindex


KIND = RouteKind()
