"""Kind ``tcx``: the links that run our programs before the tc filters of a device (tcx)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.programs import pin_of
from netplan_tproxy.datapath.snapshot import Snapshot
from netplan_tproxy.datapath.wanted import Wanted
from netplan_tproxy.errors import KernelError
from netplan_tproxy.resource.kind import Kind
from netplan_tproxy.resource.ranks import Rank, rank_of_hook
from netplan_tproxy.resource.values import Devices, Resource, name_now


@dataclass(frozen=True)
class Tcx(Resource):
    """Our link at one hook; ``program`` is ``NAME@DIGEST``, the pinned program it runs.

    Others may have programs before and behind it. Which is ours the link's pin says.
    """

    kind: ClassVar[str] = "tcx"

    dev: str
    hook: str
    program: str
    ifindex: int = field(default=0, compare=False)
    prog_id: int = field(default=0, compare=False)
    mac: str = field(default="", compare=False)

    @property
    def key(self) -> str:
        return f"{self.dev} {self.hook}"

    @property
    def rank(self) -> Rank:
        return rank_of_hook(self.dev, self.hook)

    @property
    def group(self) -> str:
        return self.dev

    @property
    def title(self) -> str:
        return f"tcx {self.dev} {self.hook}"

    @property
    def parts(self) -> tuple[str, ...]:
        return (self.program,)

    @property
    def signed(self) -> bool:
        return True

    def follow(self, devices: Devices) -> Resource | None:
        dev = name_now(self.dev, self.ifindex, self.mac, devices)
        return replace(self, dev=dev) if dev else None


class TcxKind(Kind[Tcx]):
    """A link that is there runs another program from one packet to the next, and stays in place.

    A new one is before all that are there. Where a filter of ours is to go, it goes later: for
    that moment it is asked about what the link's program has left alone, as if it were sent again.
    """

    resource = Tcx

    def desired(self, wanted: Wanted) -> Iterable[Tcx]:
        for place in wanted.places(tcx=True):
            link = wanted.facts.links[place.dev]
            program = pin_of(place.program)
            yield Tcx(place.dev, place.hook, program, link.ifindex, mac=link.mac)

    def observe(self, seen: Snapshot, scope: Sequence[Tcx]) -> Iterable[Tcx]:
        del scope
        attached = seen.tcx_links
        if not attached:
            return
        links = {link.ifindex: link for link in seen.links.values()}
        pins = {one.id: pin for pin, one in seen.programs.items() if one.current}
        for (ifindex, hook), number in attached.items():
            if ifindex in links:
                program = pins.get(number, f"another program, id {number}")
                link = links[ifindex]
                yield Tcx(link.name, hook, program, ifindex, number, link.mac)

    def prepare(self, kernel: Kernel, before: Tcx | None, after: Tcx | None) -> None:
        for end in (before, after):
            if end is not None and end.prog_id:
                kernel.bpf.attached.hold(end.prog_id)

    def make(self, kernel: Kernel, before: Tcx | None, after: Tcx | None) -> None:
        if after is None:
            if before is not None:
                kernel.bpf.links.remove((before.ifindex, before.hook))
            return
        link = kernel.netlink.link(after.dev)
        if link is None or link.ifindex != (after.ifindex or link.ifindex):
            message = f"{after.title}: the interface is gone"
            raise KernelError(message)
        fd = kernel.bpf.attached.fd(after.program, after.prog_id)
        kernel.bpf.links.put((link.ifindex, after.hook), fd)

    def settled(self, kernel: Kernel, befores: Sequence[Tcx]) -> None:
        del befores
        kernel.bpf.links.sweep()


KIND = TcxKind()
