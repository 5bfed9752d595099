"""Kind ``config``: what the programs read of the site file, as one map entry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from netplan_tproxy.datapath.host import Facts, Kernel
from netplan_tproxy.datapath.layouts import CONFIG, ConfigValue, unpack_config
from netplan_tproxy.datapath.policy import compile_policy
from netplan_tproxy.resource.kind import Kind
from netplan_tproxy.resource.values import Resource
from netplan_tproxy.site.model import LISTENERS, PROTOCOLS, Site

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
        value = unpack_config(bytes.fromhex(self.packed))
        words = [
            f"{protocol} to {listener}"
            for protocol, listener in zip(LISTENERS, value.listeners, strict=True)
            if listener is not None
        ]
        words.append(f"mark {value.intercept}")
        words += [f"bypass mark {mark}" for mark in value.bypass]
        words += [f"{name} set {number:016x}" for name, number in value.sets.named()]
        if value.when_down_bypass:
            words.append("bypass when down")
        return ", ".join(words)

    @property
    def signed(self) -> bool:
        return True


class ConfigKind(Kind[Config]):
    """The entry goes before what it names; removing it stops interception at once."""

    resource = Config

    def desired(self, site: Site, facts: Facts) -> Iterable[Config]:
        policy, proxy = site.policy, site.proxy
        protocols = PROTOCOLS if policy.protocols is None else policy.protocols
        listeners = tuple(
            listener if name.removesuffix("6") in protocols else None
            for name, listener in proxy.listeners.items()
        )
        value = ConfigValue(
            sets=compile_policy(site, facts.users, facts.cgroups).ids,
            intercept=site.intercept_mark,
            bypass=(site.bypass_mark, *policy.bypass_marks),
            listeners=listeners,
            lo=facts.links["lo"].ifindex,
            when_down_bypass=proxy.when_down == "bypass",
        )
        return [Config(value.pack().hex())]

    def observe(self, kernel: Kernel, scope: Sequence[Config]) -> Iterable[Config]:
        del scope
        value = kernel.bpf.read_entry(CONFIG.pin, _KEY)
        return [] if value is None else [Config(value.hex())]

    def make(self, kernel: Kernel, before: Config | None, after: Config | None) -> None:
        if after is not None:
            kernel.bpf.write_entry(CONFIG.pin, _KEY, bytes.fromhex(after.packed))
        elif before is not None:
            kernel.bpf.delete_entry(CONFIG.pin, _KEY)


KIND = ConfigKind()
