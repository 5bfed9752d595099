"""Kind ``fastconfig``: what the fast path reads of the site file, as one map entry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from netplan_tproxy.datapath.fastpath import CONFIG, ConfigValue, unpack_config
from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.snapshot import Snapshot
from netplan_tproxy.datapath.wanted import Wanted
from netplan_tproxy.resource.kind import Kind
from netplan_tproxy.resource.ranks import Rank
from netplan_tproxy.resource.values import Resource

_KEY = bytes(4)


@dataclass(frozen=True)
class FastConfig(Resource):
    """``struct fast_config``."""

    kind: ClassVar[str] = "fastconfig"

    packed: bytes

    @property
    def key(self) -> str:
        return CONFIG.pin

    @property
    def rank(self) -> Rank:
        return Rank.FAST_CONFIG

    @property
    def title(self) -> str:
        return "fast path"

    @property
    def parts(self) -> tuple[str, ...]:
        if len(self.packed) != CONFIG.value_size:
            # A run of an earlier version wrote it down.
            return ("of another version",)
        value = unpack_config(self.packed)
        ports = f"ports set {value.ports:016x}" if value.ports else "all ports"
        return (ports, f"budget {value.budget} bytes")

    @property
    def signed(self) -> bool:
        return True


class FastConfigKind(Kind[FastConfig]):
    """It comes last. Without it no socket is enrolled, and those that are go on over TCP."""

    resource = FastConfig

    def desired(self, wanted: Wanted) -> Iterable[FastConfig]:
        fastpath = wanted.site.fastpath
        if not fastpath.enabled:
            return []
        return [FastConfig(ConfigValue(wanted.policy.fast_ports, fastpath.budget).pack())]

    def observe(self, seen: Snapshot, scope: Sequence[FastConfig]) -> Iterable[FastConfig]:
        del scope
        value = seen.entry(CONFIG.pin, _KEY)
        # The entry of an array is always there; without a budget it says nothing.
        return [FastConfig(value)] if value and unpack_config(value).budget else []

    def make(self, kernel: Kernel, before: FastConfig | None, after: FastConfig | None) -> None:
        if after is not None:
            kernel.bpf.maps.write_entry(CONFIG.pin, _KEY, after.packed)
        elif before is not None and kernel.bpf.maps.read_entry(CONFIG.pin, _KEY) is not None:
            kernel.bpf.maps.write_entry(CONFIG.pin, _KEY, ConfigValue(0, 0).pack())


KIND = FastConfigKind()
