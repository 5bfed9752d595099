"""Kind ``sockops``: the program that enrols sockets, on a cgroup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from netplan_tproxy.datapath.attach import cgroup
from netplan_tproxy.datapath.fastpath import PAIRS, SOCKOPS
from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.programs import pin_of
from netplan_tproxy.datapath.snapshot import Snapshot
from netplan_tproxy.datapath.wanted import Wanted
from netplan_tproxy.resource.kind import Kind
from netplan_tproxy.resource.ranks import Rank
from netplan_tproxy.resource.values import Resource


@dataclass(frozen=True)
class SockOps(Resource):
    """Our program on a cgroup, by its pin; others may be on the same cgroup."""

    kind: ClassVar[str] = "sockops"

    cgroup: str
    program: str
    prog_id: int = field(default=0, compare=False)

    @property
    def key(self) -> str:
        return self.cgroup

    @property
    def rank(self) -> Rank:
        return Rank.SOCKETS

    @property
    def title(self) -> str:
        return f"sockops on cgroup {self.cgroup}"

    @property
    def parts(self) -> tuple[str, ...]:
        return (self.program,)

    @property
    def signed(self) -> bool:
        return True


class SockOpsKind(Kind[SockOps]):
    """Ours is the program on a cgroup whose id is that of a program we pinned.

    The program gives a pair's place away when its sockets close. Of those that close while it
    is not attached nobody tells: so pairs don't outlive its absence, and whoever is still
    connected goes on over TCP.
    """

    resource = SockOps

    def desired(self, wanted: Wanted) -> Iterable[SockOps]:
        fastpath = wanted.site.fastpath
        return [SockOps(fastpath.cgroup, pin_of(SOCKOPS))] if fastpath.enabled else []

    def observe(self, seen: Snapshot, scope: Sequence[SockOps]) -> Iterable[SockOps]:
        attached = seen.sockops({one.cgroup for one in scope})
        for path, (pin, number) in attached.items():
            current = pin and seen.programs[pin].current
            yield SockOps(path, pin if current else f"another program, id {number}", number)

    def prepare(self, kernel: Kernel, before: SockOps | None, after: SockOps | None) -> None:
        for end in (before, after):
            if end is not None and end.prog_id:
                kernel.bpf.attached.hold(end.prog_id)

    def make(self, kernel: Kernel, before: SockOps | None, after: SockOps | None) -> None:
        path = (after or before or SockOps("", "")).cgroup
        # Undo meets what was attached since, not what its own ``before`` was read as.
        with kernel.snapshot() as seen:
            now = seen.sockops({path}).get(path)
        there = kernel.bpf.attached.fd(*now) if now else None
        if after is not None:
            if there is None:
                kernel.bpf.maps.clear(PAIRS.pin)
            program = kernel.bpf.attached.fd(after.program, after.prog_id)
            cgroup.put(path, program, there)
        elif there is not None:
            cgroup.remove(path, there)
            kernel.bpf.maps.clear(PAIRS.pin)


KIND = SockOpsKind()
