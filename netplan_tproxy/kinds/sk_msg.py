"""Kind ``verdict``: the program that says where a message of an enrolled socket goes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from netplan_tproxy.datapath.attach import sockmap
from netplan_tproxy.datapath.fastpath import MSG, SOCKS
from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.programs import pin_of
from netplan_tproxy.datapath.snapshot import Snapshot
from netplan_tproxy.datapath.wanted import Wanted
from netplan_tproxy.resource.kind import Kind
from netplan_tproxy.resource.ranks import Rank
from netplan_tproxy.resource.values import Resource


@dataclass(frozen=True)
class Verdict(Resource):
    """The sk_msg program of our map of sockets, by its pin."""

    kind: ClassVar[str] = "verdict"

    program: str
    prog_id: int = field(default=0, compare=False)

    @property
    def key(self) -> str:
        return SOCKS.pin

    @property
    def rank(self) -> Rank:
        return Rank.MESSAGES

    @property
    def title(self) -> str:
        return "verdict on map socks"

    @property
    def parts(self) -> tuple[str, ...]:
        return (self.program,)

    @property
    def signed(self) -> bool:
        return True


class VerdictKind(Kind[Verdict]):
    """A map has one program at most; another takes its place in one step."""

    resource = Verdict

    def desired(self, wanted: Wanted) -> Iterable[Verdict]:
        return [Verdict(pin_of(MSG))] if wanted.site.fastpath.enabled else []

    def observe(self, seen: Snapshot, scope: Sequence[Verdict]) -> Iterable[Verdict]:
        del scope
        number = seen.sk_msg(SOCKS.pin)
        if number:
            programs = seen.programs.items()
            pins = [pin for pin, one in programs if one.id == number and one.current]
            yield Verdict(pins[0] if pins else f"another program, id {number}", number)

    def prepare(self, kernel: Kernel, before: Verdict | None, after: Verdict | None) -> None:
        for end in (before, after):
            if end is not None and end.prog_id:
                kernel.bpf.attached.hold(end.prog_id)

    def make(self, kernel: Kernel, before: Verdict | None, after: Verdict | None) -> None:
        if after is not None:
            program = kernel.bpf.attached.fd(after.program, after.prog_id)
            sockmap.put(kernel.bpf.maps.fd(SOCKS.pin), program)
        elif before is not None:
            with kernel.snapshot() as now:
                number = now.sk_msg(SOCKS.pin)
                if number:
                    program = kernel.bpf.attached.fd(before.program, number)
                    sockmap.remove(now.maps[SOCKS.pin].fd, program)


KIND = VerdictKind()
