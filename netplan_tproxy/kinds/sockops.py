"""Kind ``sockops``: the program that enrols sockets, on a cgroup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from netplan_tproxy.datapath.fastpath import SOCKOPS
from netplan_tproxy.datapath.host import Facts, Kernel
from netplan_tproxy.datapath.programs import pin_of
from netplan_tproxy.resource.kind import Kind
from netplan_tproxy.resource.values import Resource
from netplan_tproxy.site.model import Site


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
    def rank(self) -> int:
        return 62

    @property
    def title(self) -> str:
        return f"sockops on cgroup {self.cgroup}"

    @property
    def value(self) -> str:
        return self.program

    @property
    def signed(self) -> bool:
        return True


class SockOpsKind(Kind[SockOps]):
    """A cgroup's program is known by its id, which is that of a pinned one."""

    resource = SockOps

    def desired(self, site: Site, facts: Facts) -> Iterable[SockOps]:
        del facts
        return [SockOps(site.fastpath.cgroup, pin_of(SOCKOPS))] if site.fastpath.enabled else []

    def observe(self, kernel: Kernel, scope: Sequence[SockOps]) -> Iterable[SockOps]:
        programs = kernel.bpf.programs()
        cgroups = {wanted.cgroup for wanted in scope}
        for cgroup, (pin, number) in kernel.attachments.sockops(cgroups).items():
            current = pin and programs[pin].current
            yield SockOps(cgroup, pin if current else f"another program, id {number}", number)

    def prepare(self, kernel: Kernel, before: SockOps | None, after: SockOps | None) -> None:
        for end in (before, after):
            if end is not None and end.prog_id:
                kernel.bpf.hold_program(end.prog_id)

    def make(self, kernel: Kernel, before: SockOps | None, after: SockOps | None) -> None:
        if after is not None:
            # Undo meets what was attached since, not what its own ``before`` was read as.
            now = kernel.attachments.sockops({after.cgroup}).get(after.cgroup)
            fd = kernel.bpf.program_fd(after.program, after.prog_id)
            old = kernel.bpf.program_fd(now[0], now[1]) if now else None
            kernel.attachments.put_sockops(after.cgroup, fd, old)
        elif before is not None:
            now = kernel.attachments.sockops({before.cgroup}).get(before.cgroup)
            if now:
                fd = kernel.bpf.program_fd(*now)
                kernel.attachments.remove_sockops(before.cgroup, fd)


KIND = SockOpsKind()
