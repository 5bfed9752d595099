"""Intercepted connections over the fast path, and what it has counted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from netplan_tproxy.datapath.fastpath import OUTCOMES
from netplan_tproxy.datapath.fastpath_counters import fast_counters
from netplan_tproxy.datapath.pinned_maps import PinnedMaps
from netplan_tproxy.datapath.pins import Pins

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from tests.datapath.support import Applied

BUDGET = 256 * 1024


def fast(cgroup: Path, more: str = "") -> str:
    """The lines of a site file that enable it for a cgroup."""
    return f"fastpath: {{enabled: true, accept: [fionread], cgroup: /{cgroup.name}{more}}}\n"


def counters(on: Applied) -> Counter[str]:
    """What the fast path has counted so far, over all CPUs."""
    return Counter({name: number for name, number in told(on).items() if name in OUTCOMES})


def told(on: Applied) -> dict[str, int]:
    """The counters, and who takes part now."""
    with on.lab.host.entered():
        values = fast_counters(PinnedMaps(Pins()))
    assert values is not None
    return values


class Counted:
    """What has been counted since."""

    def __init__(self, on: Applied) -> None:
        self._on = on
        self._before = counters(on)

    def __call__(self) -> Counter[str]:
        now = counters(self._on)
        now.subtract(self._before)
        return Counter({name: number for name, number in now.items() if number})


def receive(end: socket.socket, size: int) -> bytes:
    """Exactly ``size`` bytes."""
    parts = []
    while size:
        part = end.recv(min(size, 1 << 20))
        assert part, f"{size} bytes short"
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
