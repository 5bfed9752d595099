"""Kind ``map``: the pinned BPF maps that the programs share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.programs import maps
from netplan_tproxy.datapath.snapshot import Snapshot
from netplan_tproxy.datapath.wanted import Wanted
from netplan_tproxy.resource.kind import Kind
from netplan_tproxy.resource.ranks import Rank
from netplan_tproxy.resource.values import Resource


@dataclass(frozen=True)
class Map(Resource):
    """A map by its pin, ``NAME@LAYOUT``: another layout is another map."""

    kind: ClassVar[str] = "map"

    pin: str

    @property
    def key(self) -> str:
        return self.pin

    @property
    def rank(self) -> Rank:
        return Rank.MAP

    @property
    def title(self) -> str:
        return f"map {self.pin}"

    @property
    def signed(self) -> bool:
        return True


class MapKind(Kind[Map]):
    """Maps are built aside and then pinned; their entries belong to other kinds."""

    resource = Map

    def desired(self, wanted: Wanted) -> Iterable[Map]:
        return [Map(layout.pin) for layout in maps(wanted.site)]

    def observe(self, seen: Snapshot, scope: Sequence[Map]) -> Iterable[Map]:
        del scope
        return [Map(pin) for pin in seen.maps]

    def prepare(self, kernel: Kernel, before: Map | None, after: Map | None) -> None:
        if after is not None:
            kernel.bpf.maps.build(after.pin)
        if before is not None:
            kernel.bpf.maps.hold(before.pin)

    def make(self, kernel: Kernel, before: Map | None, after: Map | None) -> None:
        if after is not None:
            kernel.bpf.maps.pin(after.pin)
        elif before is not None:
            kernel.bpf.maps.unpin(before.pin)


KIND = MapKind()
