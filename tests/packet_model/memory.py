"""Verdicts on flows that have no socket on this host, and how long each holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.packet_model.wire import TCP, Flow

# conntrack's time-outs: Documentation/networking/nf_conntrack-sysctl.rst.
UDP_ALONE, UDP_STREAM = 30.0, 120.0
BECOMES_STREAM = 3.0


@dataclass
class _Kept:
    wanted: bool
    began: float
    seen: float
    rules: str


@dataclass
class Verdicts:
    """By flow; ``now``, in seconds, moves when told to; ``rules``: what the site file says."""

    now: float = 0.0
    rules: str = ""
    _kept: dict[Flow, _Kept] = field(default_factory=dict)

    def knows(self, flow: Flow) -> bool:
        """Whether there is or was one."""
        return flow in self._kept

    def get(self, flow: Flow) -> bool | None:
        """Whether it goes to the proxy; None: nothing is known, or it is over."""
        kept = self._kept.get(flow)
        if kept is None:
            return None
        if flow.protocol == TCP:
            return kept.wanted
        if kept.rules != self.rules or self.left(flow) < 0:
            return None
        kept.seen = self.now
        return kept.wanted

    def ever_wanted(self, flow: Flow) -> bool:
        """Whether it goes to the proxy, or did until it was over."""
        return flow in self._kept and self._kept[flow].wanted

    def left(self, flow: Flow) -> float:
        """For how many seconds more it may say nothing."""
        kept = self._kept[flow]
        stream = kept.seen - kept.began >= BECOMES_STREAM
        return (UDP_STREAM if stream else UDP_ALONE) - (self.now - kept.seen)

    def put(self, flow: Flow, *, wanted: bool) -> None:
        self._kept[flow] = _Kept(wanted, self.now, self.now, self.rules)

    def flows(self) -> list[Flow]:
        return list(self._kept)
