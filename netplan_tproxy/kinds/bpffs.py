"""Kind ``bpffs``: the file system that holds pins; mounted only where it is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.pins import DEFAULT_MOUNT
from netplan_tproxy.datapath.snapshot import Snapshot
from netplan_tproxy.datapath.wanted import Wanted
from netplan_tproxy.resource.kind import Kind
from netplan_tproxy.resource.ranks import Rank
from netplan_tproxy.resource.values import Resource


@dataclass(frozen=True)
class Bpffs(Resource):
    """A mounted bpffs."""

    kind: ClassVar[str] = "bpffs"
    is_shared: ClassVar[bool] = True

    path: str = DEFAULT_MOUNT
    others: int = field(default=0, compare=False)

    @property
    def key(self) -> str:
        return self.path

    @property
    def rank(self) -> Rank:
        return Rank.BPFFS

    @property
    def title(self) -> str:
        return f"bpffs {self.path}"

    @property
    def in_use(self) -> str:
        return "holds pins of others" if self.others else ""


class BpffsKind(Kind[Bpffs]):
    """systemd mounts it at boot; containers and small systems often don't."""

    resource = Bpffs

    def desired(self, wanted: Wanted) -> Iterable[Bpffs]:
        del wanted
        return [Bpffs()]

    def observe(self, seen: Snapshot, scope: Sequence[Bpffs]) -> Iterable[Bpffs]:
        del scope
        # The path may differ from here; it is the same bpffs.
        others = seen.bpffs()
        return [] if others is None else [Bpffs(others=others)]

    def make(self, kernel: Kernel, before: Bpffs | None, after: Bpffs | None) -> None:
        if after is not None and before is None:
            kernel.bpf.pins.mount()
        elif after is None:
            kernel.bpf.pins.unmount()


KIND = BpffsKind()
