"""The maps as user space sees them: what they are, and their values as bytes. Pure.

The layouts mirror the tables declared below bpf/; a test compares them with what the compiler
sees.
"""

from __future__ import annotations

import hashlib
import ipaddress
import struct
from dataclasses import dataclass

from netplan_tproxy.kernel.bpf.layout import (
    ARRAY,
    HASH,
    HASH_OF_MAPS,
    LPM_TRIE,
    LRU_HASH,
    NO_PREALLOC,
    PERCPU_HASH,
    SK_STORAGE,
    MapSpec,
)
from netplan_tproxy.site.model import Listener, Mark

BYPASS_MARKS = 8


@dataclass(frozen=True)
class MapLayout(MapSpec):
    """A map of ours."""

    inner: MapLayout | None = None

    @property
    def pin(self) -> str:
        """The pin's name. It holds the layout: another layout is another map."""
        layout = f"{self.type} {self.key_size} {self.value_size} {self.max_entries} {self.flags}"
        return f"{self.name}@{hashlib.sha256(layout.encode()).hexdigest()[:8]}"


_POLICY = struct.Struct("=8Q")
_MARK = struct.Struct("=II")
_LISTENER = struct.Struct("=16s2sH")
_TAIL = struct.Struct("=IIII")
_CONFIG_SIZE = _POLICY.size + (1 + BYPASS_MARKS) * _MARK.size + 4 * _LISTENER.size + _TAIL.size
_INT = struct.Struct("=I")
_FLOW_KEY = 40
# Verdict and owner, epoch, when it began and was last seen, whether it is doubtful.
FLOW_VERDICT = struct.Struct("=5I")
COUNTER_KEY = struct.Struct("=II")
COUNTER = struct.Struct("=QQ")

CONFIG = MapLayout("config", HASH, 4, _CONFIG_SIZE, 1)
SET = MapLayout("set", LPM_TRIE, 20, 1, 1, NO_PREALLOC)
SETS = MapLayout("sets", HASH_OF_MAPS, 8, 4, 256, 0, SET)
FLOWS = MapLayout("flows", SK_STORAGE, 4, 24, 0, NO_PREALLOC)
TRACKED = MapLayout("tracked", LRU_HASH, _FLOW_KEY, FLOW_VERDICT.size, 65536)
INBOUND = MapLayout("inbound", LRU_HASH, _FLOW_KEY, 4, 65536)
REPLIES = MapLayout("replies", LRU_HASH, _FLOW_KEY, 4, 65536)
RECENT = MapLayout("recent", ARRAY, 4, 8, 65536)
FRAGMENTS = MapLayout("fragments", LRU_HASH, _FLOW_KEY, 4, 4096)
COUNTERS = MapLayout("counters", PERCPU_HASH, COUNTER_KEY.size, COUNTER.size, 8192)
MAPS = (CONFIG, SETS, FLOWS, TRACKED, INBOUND, REPLIES, RECENT, FRAGMENTS, COUNTERS)


@dataclass(frozen=True)
class SetIds:
    """The sets that a policy names (``struct policy``); 0: not named."""

    from_: int = 0
    to: int = 0
    ports: int = 0
    bypass_from: int = 0
    bypass_to: int = 0
    bypass_ports: int = 0
    bypass_users: int = 0
    bypass_cgroups: int = 0

    def as_tuple(self) -> tuple[int, ...]:
        """Give the ids in the order of ``struct policy``."""
        return (
            self.from_, self.to, self.ports, self.bypass_from, self.bypass_to,
            self.bypass_ports, self.bypass_users, self.bypass_cgroups,
        )  # fmt: skip

    def named(self) -> list[tuple[str, int]]:
        """Give the dimensions that are named, in the file's words."""
        words = (
            "from", "to", "ports", "bypass from", "bypass to", "bypass ports", "bypass users",
            "bypass cgroups",
        )  # fmt: skip
        return [
            (word, number) for word, number in zip(words, self.as_tuple(), strict=True) if number
        ]


@dataclass(frozen=True)
class ConfigValue:
    """``struct config``; listeners in the order of ``LISTENERS``; ``lo`` is an ifindex.

    ``route_mark``: what lan_ingress looks a route up with where there is none without; 0: nothing.
    """

    sets: SetIds
    intercept: Mark
    bypass: tuple[Mark, ...]
    listeners: tuple[Listener | None, ...]
    lo: int
    when_down_bypass: bool = False
    route_mark: int = 0

    def pack(self) -> bytes:
        """Give it as the programs read it.

        The epoch is a digest of the rest: UDP flows that another configuration decided on are
        decided again.
        """
        unused = (Mark(0, 0),) * (BYPASS_MARKS - len(self.bypass))
        parts = [_POLICY.pack(*self.sets.as_tuple())]
        parts += [
            _MARK.pack(mark.value, mark.mask) for mark in (self.intercept, *self.bypass, *unused)
        ]
        parts += [_pack_listener(listener) for listener in self.listeners]
        parts.append(self._tail(0))
        epoch = hashlib.sha256(b"".join(parts)).digest()[:4]
        parts[-1] = self._tail(_INT.unpack(epoch)[0])
        return b"".join(parts)

    def _tail(self, epoch: int) -> bytes:
        return _TAIL.pack(self.lo, int(self.when_down_bypass), epoch, self.route_mark)


def unpack_config(value: bytes) -> ConfigValue:
    """Read ``struct config`` back. Raises struct.error for another size."""
    ids = SetIds(*_POLICY.unpack_from(value))
    at = _POLICY.size
    marks = []
    for _ in range(1 + BYPASS_MARKS):
        marks.append(Mark(*_MARK.unpack_from(value, at)))
        at += _MARK.size
    listeners = []
    for number in range(4):
        listeners.append(_unpack_listener(_LISTENER.unpack_from(value, at), v6=bool(number % 2)))
        at += _LISTENER.size
    lo, down, _, route_mark = _TAIL.unpack_from(value, at)
    bypass = tuple(mark for mark in marks[1:] if mark.mask)
    return ConfigValue(ids, marks[0], bypass, tuple(listeners), lo, bool(down), route_mark)


def _pack_listener(listener: Listener | None) -> bytes:
    if listener is None:
        return bytes(_LISTENER.size)
    address = ipaddress.ip_address(listener.address).packed.rjust(16, b"\0")
    return _LISTENER.pack(address, struct.pack("!H", listener.port), 1)


def _unpack_listener(fields: tuple[bytes, bytes, int], *, v6: bool) -> Listener | None:
    address, port, enabled = fields
    if not enabled:
        return None
    text = str(ipaddress.ip_address(address if v6 else address[12:]))
    return Listener(text, struct.unpack("!H", port)[0])
