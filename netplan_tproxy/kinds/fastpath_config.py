"""Kind ``fastconfig``: what the fast path reads of the site file, as one map entry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from netplan_tproxy.datapath.fastpath import CONFIG, ConfigValue, unpack_config
from netplan_tproxy.datapath.host import Facts, Kernel
from netplan_tproxy.datapath.policy import compile_policy
from netplan_tproxy.resource.kind import Kind
from netplan_tproxy.resource.values import Resource
from netplan_tproxy.site.model import Site

_KEY = bytes(4)


@dataclass(frozen=True)
class FastConfig(Resource):
    """``struct fast_config`` in hexadecimal."""

    kind: ClassVar[str] = "fastconfig"

    packed: str

    @property
    def key(self) -> str:
        return CONFIG.pin

    @property
    def rank(self) -> int:
        return 76

    @property
    def title(self) -> str:
        return "fast path"

    @property
    def value(self) -> str:
        value = unpack_config(bytes.fromhex(self.packed))
        ports = f"ports set {value.ports:016x}" if value.ports else "all ports"
        return f"{ports}, budget {value.budget} bytes"

    @property
    def signed(self) -> bool:
        return True


class FastConfigKind(Kind[FastConfig]):
    """It comes last. Without it nobody is enrolled, and who is goes on over TCP."""

    resource = FastConfig

    def desired(self, site: Site, facts: Facts) -> Iterable[FastConfig]:
        if not site.fastpath.enabled:
            return []
        ports = compile_policy(site, facts.users, facts.cgroups).fast_ports
        return [FastConfig(ConfigValue(ports, site.fastpath.budget).pack().hex())]

    def observe(self, kernel: Kernel, scope: Sequence[FastConfig]) -> Iterable[FastConfig]:
        del scope
        value = kernel.bpf.read_entry(CONFIG.pin, _KEY)
        # The entry of an array is always there; without a budget it says nothing.
        return [FastConfig(value.hex())] if value and unpack_config(value).budget else []

    def make(self, kernel: Kernel, before: FastConfig | None, after: FastConfig | None) -> None:
        if after is not None:
            kernel.bpf.write_entry(CONFIG.pin, _KEY, bytes.fromhex(after.packed))
        elif before is not None and kernel.bpf.read_entry(CONFIG.pin, _KEY) is not None:
            kernel.bpf.write_entry(CONFIG.pin, _KEY, ConfigValue(0, 0).pack())


KIND = FastConfigKind()
