"""What the fast path has counted, and how many sockets take part in it now."""

from __future__ import annotations

from netplan_tproxy.datapath.fastpath import COUNTERS, COUNTS, OUTCOMES, SOCKS
from netplan_tproxy.datapath.pinned_maps import PinnedMaps


def fast_counters(maps: PinnedMaps) -> dict[str, int] | None:
    """Read all counters, the CPUs added up, and ``sockets``; None without a fast path.

    Raises KernelError.
    """
    counts = None
    for _, value in maps.entries(COUNTERS.pin):
        per_cpu = list(COUNTS.iter_unpack(value))
        counts = {name: sum(c[number] for c in per_cpu) for number, name in enumerate(OUTCOMES)}
    if counts is not None:
        counts["sockets"] = sum(1 for _ in maps.entries(SOCKS.pin))
    return counts
