"""Kind ``config``: what the programs read of the site file, as one map entry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from netplan_tproxy.datapath import CONFIG, pack_config, unpack_config
from netplan_tproxy.kernel import Facts, Kernel
from netplan_tproxy.kinds import Kind
from netplan_tproxy.model import Resource
from netplan_tproxy.site.model import Listener, Mark, Site

_KEY = bytes(4)


@dataclass(frozen=True)
class Config(Resource):
    """``struct config`` in hexadecimal; updated as a whole, so no packet sees half of it."""

    kind: ClassVar[str] = "config"

    packed: str

    @property
    def key(self) -> str:
        return CONFIG.pin

    @property
    def rank(self) -> int:
        return 75

    @property
    def title(self) -> str:
        return "config"

    @property
    def value(self) -> str:
        mark, bypass, _, tcp = unpack_config(bytes.fromhex(self.packed))
        proxy = f"tcp {tcp.address}:{tcp.port}" if tcp else "none"
        return f"proxy {proxy}, mark {mark}, bypass mark {bypass}"

    @property
    def signed(self) -> bool:
        return True


class ConfigKind(Kind[Config]):
    """The entry goes with its map; removing it first stops interception at once."""

    resource = Config

    def desired(self, site: Site, facts: Facts) -> Iterable[Config]:
        mark, bypass = site.intercept_mark, site.bypass_mark
        return [_config(mark, bypass, facts.links["lo"].ifindex, site.proxy.tcp)]

    def observe(self, kernel: Kernel, scope: Sequence[Config]) -> Iterable[Config]:
        del scope
        value = kernel.bpf.read_entry(CONFIG.pin, _KEY)
        return [] if value is None else [Config(value.hex())]

    def make(self, kernel: Kernel, before: Config | None, after: Config | None) -> None:
        if after is not None:
            kernel.bpf.write_entry(CONFIG.pin, _KEY, bytes.fromhex(after.packed))
        elif before is not None:
            kernel.bpf.delete_entry(CONFIG.pin, _KEY)


def _config(mark: Mark, bypass: Mark, lo: int, tcp: Listener | None) -> Config:
    return Config(pack_config(mark, bypass, lo, tcp).hex())


KIND = ConfigKind()
