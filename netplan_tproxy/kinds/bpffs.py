"""Kind ``bpffs``: the file system that holds pins; mounted only where it is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from netplan_tproxy.datapath.host import Facts, Kernel
from netplan_tproxy.datapath.pins import DEFAULT_MOUNT
from netplan_tproxy.resource.kind import Kind
from netplan_tproxy.resource.values import Resource
from netplan_tproxy.site.model import Site


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
    def rank(self) -> int:
        return 5

    @property
    def title(self) -> str:
        return f"bpffs {self.path}"

    @property
    def in_use(self) -> str:
        return "holds pins of others" if self.others else ""


class BpffsKind(Kind[Bpffs]):
    """systemd mounts it at boot; containers and small systems often don't."""

    resource = Bpffs

    def desired(self, site: Site, facts: Facts) -> Iterable[Bpffs]:
        del site, facts
        return [Bpffs()]

    def observe(self, kernel: Kernel, scope: Sequence[Bpffs]) -> Iterable[Bpffs]:
        del scope
        # Where it is seen from here may differ; which one it is does not.
        return [Bpffs(others=kernel.bpf.foreign_pins())] if kernel.bpf.mounted() else []

    def make(self, kernel: Kernel, before: Bpffs | None, after: Bpffs | None) -> None:
        if after is not None and before is None:
            kernel.bpf.mount()
        elif after is None:
            kernel.bpf.unmount()


KIND = BpffsKind()
