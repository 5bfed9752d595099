"""Kind ``route``: routes of the tables the site file names (ip-route(8))."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.protocol import OUR_PROTOCOL
from netplan_tproxy.datapath.snapshot import Snapshot
from netplan_tproxy.datapath.wanted import Wanted
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.netlink.links import Link
from netplan_tproxy.kernel.netlink.routing import RouteRecord, putting_route, removing_route
from netplan_tproxy.resource.kind import BatchKind, Ends
from netplan_tproxy.resource.ranks import Rank
from netplan_tproxy.resource.values import Devices, Resource, name_now
from netplan_tproxy.site.model import AF_INET, AF_INET6

FAMILIES = (AF_INET, AF_INET6)


@dataclass(frozen=True)
class Route(Resource):
    """A route of one table; ``plain`` is False for one with more than we ever set."""

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

    @property
    def key(self) -> str:
        return f"{self.family} {self.table} {self.to}"

    @property
    def rank(self) -> Rank:
        return Rank.ROUTE

    @property
    def title(self) -> str:
        to = "default" if self.to in {"0.0.0.0/0", "::/0"} else self.to
        version = " -6" if self.family == AF_INET6 else ""
        return f"route{version} {to} table {self.table}"

    @property
    def parts(self) -> tuple[str, ...]:
        dev = f" dev {self.dev}" if self.dev else ""
        extra = "" if self.plain else " with more"
        return (f"{self.type}{dev}{extra}",)

    @property
    def signed(self) -> bool:
        return self.protocol == OUR_PROTOCOL

    def follow(self, devices: Devices) -> Resource | None:
        if not self.dev:
            return self
        dev = name_now(self.dev, self.ifindex, self.mac, devices)
        return replace(self, dev=dev) if dev else None

    def satisfied_by(self, live: Resource) -> bool:
        # The protocol says who made a route; it is no part of what it does, nor of its key.
        return isinstance(live, Route) and replace(live, protocol=self.protocol) == self


class RouteKind(BatchKind[Route]):
    """The kernel knows a route by table and destination."""

    resource = Route

    def desired(self, wanted: Wanted) -> Iterable[Route]:
        return [
            Route(route.family, route.table, route.to, route.type, route.dev)
            for route in wanted.site.routes
        ]

    def observe(self, seen: Snapshot, scope: Sequence[Route]) -> Iterable[Route]:
        links = {link.ifindex: link for link in seen.links.values()}
        tables = sorted({(route.family, route.table) for route in scope})
        records = [
            *(one for family in FAMILIES for one in seen.routes(family, proto=OUR_PROTOCOL)),
            *(one for family, table in tables for one in seen.routes(family, table=table)),
        ]
        by_key: dict[str, Route] = {}
        for record in records:
            link = links.get(record.ifindex)
            route = Route(
                record.family, record.table, record.to, record.type,
                link.name if link else "", record.protocol, not record.raw, record.ifindex,
                record.raw, link.mac if link else "",
            )  # fmt: skip
            # Of several at one key (`ip route append`) the first is the one that works.
            by_key.setdefault(route.key, route)
        return by_key.values()

    def make(self, kernel: Kernel, before: Route | None, after: Route | None) -> None:
        if after is not None:
            kernel.netlink.put_route(_record(kernel.links(), after), replace=before is not None)
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
                    requests.append(putting_route(record, replace=before is not None))
                elif before is not None:
                    requests.append(removing_route(_record(links, before)))
            except KernelError as failure:
                failures[number] = failure
            else:
                numbers.append(number)
        refusals = kernel.netlink.make_all(requests)
        return failures | {numbers[place]: why for place, why in refusals.items()}


def _record(links: Mapping[str, Link], route: Route) -> RouteRecord:
    ifindex = 0
    if route.dev:
        link = links.get(route.dev)
        if link is None:
            message = f"{route.title}: no interface {route.dev}"
            raise KernelError(message)
        ifindex = link.ifindex
        if route.raw and ifindex != route.ifindex:
            message = f"{route.title}: {route.dev} is another interface now"
            raise KernelError(message)
    return RouteRecord(
        route.family, route.table, route.to, route.type, ifindex, route.protocol, route.raw
    )


KIND = RouteKind()
