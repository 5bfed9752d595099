"""Kind ``map``: the pinned BPF maps that the programs share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from netplan_tproxy.datapath.host import Facts, Kernel
from netplan_tproxy.datapath.programs import maps
from netplan_tproxy.resource.kind import Kind
from netplan_tproxy.resource.values import Resource
from netplan_tproxy.site.model import Site


@dataclass(frozen=True)
class Map(Resource):
    """A map by its pin, ``NAME@LAYOUT``: another layout is another map."""

    kind: ClassVar[str] = "map"

    pin: str

    @property
    def key(self) -> str:
        return self.pin

    @property
    def rank(self) -> int:
        return 40

    @property
    def title(self) -> str:
        return f"map {self.pin}"

    @property
    def signed(self) -> bool:
        return True


class MapKind(Kind[Map]):
    """Maps are built aside and then pinned; what they hold belongs to other kinds."""

    resource = Map

    def desired(self, site: Site, facts: Facts) -> Iterable[Map]:
        del facts
        return [Map(layout.pin) for layout in maps(site)]

    def observe(self, kernel: Kernel, scope: Sequence[Map]) -> Iterable[Map]:
        del scope
        return [Map(pin) for pin in kernel.bpf.maps()]

    def prepare(self, kernel: Kernel, before: Map | None, after: Map | None) -> None:
        if after is not None:
            kernel.bpf.build_map(after.pin)
        if before is not None:
            kernel.bpf.hold_map(before.pin)

    def make(self, kernel: Kernel, before: Map | None, after: Map | None) -> None:
        if after is not None:
            kernel.bpf.pin_map(after.pin)
        elif before is not None:
            kernel.bpf.unpin_map(before.pin)


KIND = MapKind()
