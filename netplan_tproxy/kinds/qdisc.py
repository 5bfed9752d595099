"""Kind ``qdisc``: the clsact qdisc that carries the filters (tc-bpf(8))."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from netplan_tproxy.datapath.filter_names import is_ours
from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.snapshot import Snapshot
from netplan_tproxy.datapath.wanted import Wanted
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.netlink.probe import require_clsact
from netplan_tproxy.kernel.netlink.tc import CLSACT_EGRESS, CLSACT_INGRESS
from netplan_tproxy.resource.kind import Kind
from netplan_tproxy.resource.ranks import Rank
from netplan_tproxy.resource.values import Devices, Resource, name_now


@dataclass(frozen=True)
class Qdisc(Resource):
    """What sits at the ingress hook of a device: at most one qdisc can."""

    kind: ClassVar[str] = "qdisc"

    dev: str
    what: str = "clsact"
    foreign_filters: int = field(default=0, compare=False)
    ifindex: int = field(default=0, compare=False)
    mac: str = field(default="", compare=False)

    @property
    def key(self) -> str:
        return self.dev

    @property
    def rank(self) -> Rank:
        return Rank.QDISC

    @property
    def group(self) -> str:
        return self.dev

    @property
    def title(self) -> str:
        return f"qdisc at the ingress of {self.dev}"

    @property
    def parts(self) -> tuple[str, ...]:
        return (self.what,)

    @property
    def restorable(self) -> bool:
        return self.what == "clsact"

    @property
    def in_use(self) -> str:
        return "carries filters of others" if self.foreign_filters else ""

    def follow(self, devices: Devices) -> Resource | None:
        dev = name_now(self.dev, self.ifindex, self.mac, devices)
        return replace(self, dev=dev) if dev else None


class QdiscKind(Kind[Qdisc]):
    """A clsact goes only if we made it and nobody else uses it."""

    resource = Qdisc

    def desired(self, wanted: Wanted) -> Iterable[Qdisc]:
        for dev in dict.fromkeys(place.dev for place in wanted.places(tcx=False)):
            link = wanted.facts.links[dev]
            yield Qdisc(dev, ifindex=link.ifindex, mac=link.mac)

    def observe(self, seen: Snapshot, scope: Sequence[Qdisc]) -> Iterable[Qdisc]:
        for dev in sorted({qdisc.dev for qdisc in scope} & seen.links.keys()):
            ifindex = seen.links[dev].ifindex
            what = seen.ingress_qdiscs.get(ifindex)
            if what:
                foreign = sum(
                    not is_ours(record)
                    for parent in (CLSACT_INGRESS, CLSACT_EGRESS)
                    for record in seen.filters(ifindex, parent)
                )
                yield Qdisc(dev, what, foreign, ifindex, seen.links[dev].mac)

    def prepare(self, kernel: Kernel, before: Qdisc | None, after: Qdisc | None) -> None:
        del kernel
        if before is None and after is not None:
            require_clsact()

    def make(self, kernel: Kernel, before: Qdisc | None, after: Qdisc | None) -> None:
        subject = after or before or Qdisc("")
        link = kernel.netlink.link(subject.dev)
        if link is None or link.ifindex != (subject.ifindex or link.ifindex):
            if after is None:
                return
            message = f"{after.title}: the interface is gone"
            raise KernelError(message)
        if after is None:
            kernel.netlink.del_clsact(link.ifindex)
        else:
            kernel.netlink.add_clsact(link.ifindex)


KIND = QdiscKind()
