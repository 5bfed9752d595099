"""Kind ``program``: the loaded and pinned BPF programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.programs import pin_of, programs
from netplan_tproxy.datapath.snapshot import Snapshot
from netplan_tproxy.datapath.wanted import Wanted
from netplan_tproxy.resource.kind import Kind
from netplan_tproxy.resource.ranks import Rank
from netplan_tproxy.resource.values import Resource


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
    def rank(self) -> Rank:
        return Rank.PROGRAM

    @property
    def title(self) -> str:
        return f"program {self.pin}"

    @property
    def parts(self) -> tuple[str, ...]:
        return (f"with {self.maps} maps",)

    @property
    def signed(self) -> bool:
        return True


class ProgramKind(Kind[Program]):
    """A program that is pinned already is never compiled again."""

    resource = Program

    def desired(self, wanted: Wanted) -> Iterable[Program]:
        return [Program(pin_of(name)) for name in programs(wanted.site, wanted.facts.link_types())]

    def observe(self, seen: Snapshot, scope: Sequence[Program]) -> Iterable[Program]:
        del scope
        for pin, pinned in seen.programs.items():
            yield Program(pin, "current" if pinned.current else "stale")

    def prepare(self, kernel: Kernel, before: Program | None, after: Program | None) -> None:
        if before is not None:
            kernel.bpf.programs.hold(before.pin)
        if after is not None:
            kernel.bpf.programs.want(after.pin)

    def make(self, kernel: Kernel, before: Program | None, after: Program | None) -> None:
        if after is not None:
            kernel.bpf.programs.pin(after.pin, current=after.maps == "current")
        elif before is not None:
            kernel.bpf.programs.unpin(before.pin)


KIND = ProgramKind()
