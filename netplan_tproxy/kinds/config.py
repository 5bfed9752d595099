"""Kind ``config``: what the programs read of the site file, as one map entry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.layouts import CONFIG, ConfigValue, unpack_config
from netplan_tproxy.datapath.snapshot import Snapshot
from netplan_tproxy.datapath.wanted import Wanted
from netplan_tproxy.resource.kind import Kind
from netplan_tproxy.resource.ranks import Rank
from netplan_tproxy.resource.values import Resource
from netplan_tproxy.site.model import LISTENERS, PROTOCOLS

_KEY = bytes(4)


@dataclass(frozen=True)
class Config(Resource):
    """``struct config``, replaced as a whole: no packet sees half of a change."""

    kind: ClassVar[str] = "config"

    packed: bytes

    @property
    def key(self) -> str:
        return CONFIG.pin

    @property
    def pin(self) -> str:
        """The map that it is in: other versions' entries have another size, and so another map."""
        return replace(CONFIG, value_size=len(self.packed)).pin

    @property
    def rank(self) -> Rank:
        return Rank.CONFIG

    @property
    def title(self) -> str:
        return "config"

    @property
    def parts(self) -> tuple[str, ...]:
        if len(self.packed) != CONFIG.value_size:
            # A run of an earlier version wrote it down.
            return ("of another version",)
        value = unpack_config(self.packed)
        parts = [
            f"{protocol} to {listener}"
            for protocol, listener in zip(LISTENERS, value.listeners, strict=True)
            if listener is not None
        ]
        parts.append(f"mark {value.intercept}")
        parts += [f"bypass mark {mark}" for mark in value.bypass]
        parts += [f"{name} set {number:016x}" for name, number in value.sets.named()]
        if value.when_down_bypass:
            parts.append("bypass when down")
        if value.route_mark:
            parts.append(f"route mark {value.route_mark:#x}")
        return tuple(parts)

    @property
    def signed(self) -> bool:
        return True


class ConfigKind(Kind[Config]):
    """The entry names sets that exist; without it nothing is intercepted."""

    resource = Config

    def desired(self, wanted: Wanted) -> Iterable[Config]:
        site = wanted.site
        policy, proxy = site.policy, site.proxy
        protocols = PROTOCOLS if policy.protocols is None else policy.protocols
        listeners = tuple(
            listener if name.removesuffix("6") in protocols else None
            for name, listener in proxy.listeners.items()
        )
        value = ConfigValue(
            sets=wanted.policy.ids,
            intercept=site.intercept_mark,
            bypass=(site.bypass_mark, *policy.bypass_marks),
            listeners=listeners,
            lo=wanted.facts.links["lo"].ifindex,
            when_down_bypass=proxy.when_down == "bypass",
            route_mark=wanted.facts.route_mark,
        )
        return [Config(value.pack())]

    def observe(self, seen: Snapshot, scope: Sequence[Config]) -> Iterable[Config]:
        for pin in (CONFIG.pin, *(one.pin for one in scope)):
            value = seen.entry(pin, _KEY)
            if value is not None:
                return [Config(value)]
        return []

    def make(self, kernel: Kernel, before: Config | None, after: Config | None) -> None:
        if after is not None:
            kernel.bpf.maps.write_entry(after.pin, _KEY, after.packed)
        elif before is not None:
            kernel.bpf.maps.delete_entry(before.pin, _KEY)


KIND = ConfigKind()
