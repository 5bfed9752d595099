"""Kind ``verdict``: the program that says where a message of an enrolled socket goes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from netplan_tproxy.datapath.fastpath import MSG, SOCKS
from netplan_tproxy.datapath.host import Facts, Kernel
from netplan_tproxy.datapath.programs import pin_of
from netplan_tproxy.resource.kind import Kind
from netplan_tproxy.resource.values import Resource
from netplan_tproxy.site.model import Site


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
    def rank(self) -> int:
        return 61

    @property
    def title(self) -> str:
        return "verdict on map socks"

    @property
    def value(self) -> str:
        return self.program

    @property
    def signed(self) -> bool:
        return True


class VerdictKind(Kind[Verdict]):
    """There is one for the map; another takes its place in one step."""

    resource = Verdict

    def desired(self, site: Site, facts: Facts) -> Iterable[Verdict]:
        del facts
        return [Verdict(pin_of(MSG))] if site.fastpath.enabled else []

    def observe(self, kernel: Kernel, scope: Sequence[Verdict]) -> Iterable[Verdict]:
        del scope
        number = kernel.attachments.verdict(SOCKS.pin)
        if number:
            programs = kernel.bpf.programs()
            pins = [pin for pin, it in programs.items() if it.id == number and it.current]
            yield Verdict(pins[0] if pins else f"another program, id {number}", number)

    def prepare(self, kernel: Kernel, before: Verdict | None, after: Verdict | None) -> None:
        for end in (before, after):
            if end is not None and end.prog_id:
                kernel.bpf.hold_program(end.prog_id)

    def make(self, kernel: Kernel, before: Verdict | None, after: Verdict | None) -> None:
        if after is not None:
            fd = kernel.bpf.program_fd(after.program, after.prog_id)
            kernel.attachments.put_verdict(SOCKS.pin, fd)
        elif before is not None:
            number = kernel.attachments.verdict(SOCKS.pin)
            if number:
                fd = kernel.bpf.program_fd(before.program, number)
                kernel.attachments.remove_verdict(SOCKS.pin, fd)


KIND = VerdictKind()
