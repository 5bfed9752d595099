"""Kind ``program``: the loaded and pinned BPF programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from netplan_tproxy.datapath.host import Facts, Kernel
from netplan_tproxy.datapath.programs import pin_of, programs
from netplan_tproxy.resource.kind import Kind
from netplan_tproxy.resource.values import Resource
from netplan_tproxy.site.model import Site


@dataclass(frozen=True)
class Program(Resource):
    """A program by its pin, ``NAME@DIGEST`` of its sources.

    ``maps`` is "current" when it uses the maps that are pinned now.
    """

    kind: ClassVar[str] = "program"

    pin: str
    maps: str = "current"

    @property
    def key(self) -> str:
        return self.pin

    @property
    def rank(self) -> int:
        return 50

    @property
    def title(self) -> str:
        return f"program {self.pin}"

    @property
    def value(self) -> str:
        return f"with {self.maps} maps"

    @property
    def signed(self) -> bool:
        return True


class ProgramKind(Kind[Program]):
    """A program that is pinned already is never compiled again."""

    resource = Program

    def desired(self, site: Site, facts: Facts) -> Iterable[Program]:
        return [Program(pin_of(name)) for name in programs(site, facts.link_types())]

    def observe(self, kernel: Kernel, scope: Sequence[Program]) -> Iterable[Program]:
        del scope
        for pin, state in kernel.bpf.programs().items():
            yield Program(pin, "current" if state.current else "stale")

    def prepare(self, kernel: Kernel, before: Program | None, after: Program | None) -> None:
        if before is not None:
            kernel.bpf.hold_pinned_program(before.pin)
        if after is not None:
            kernel.bpf.want_program(after.pin)

    def make(self, kernel: Kernel, before: Program | None, after: Program | None) -> None:
        if after is not None:
            kernel.bpf.pin_program(after.pin, current=after.maps == "current")
        elif before is not None:
            kernel.bpf.unpin_program(before.pin)


KIND = ProgramKind()
