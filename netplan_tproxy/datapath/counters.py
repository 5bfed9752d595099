"""What the programs have counted, by device and by what became of a packet."""

from __future__ import annotations

from collections.abc import Mapping

from netplan_tproxy.datapath.layouts import COUNTER, COUNTER_KEY, COUNTERS
from netplan_tproxy.datapath.pinned_maps import PinnedMaps
from netplan_tproxy.datapath.programs import OUTCOMES

# (ifindex, outcome) to (packets, bytes)
Counts = Mapping[tuple[int, str], tuple[int, int]]


def counters(maps: PinnedMaps) -> Counts:
    """Read all counters, their CPUs added up. Raises KernelError."""
    counts = {}
    for key, value in maps.entries(COUNTERS.pin):
        ifindex, outcome = COUNTER_KEY.unpack(key)
        packets = octets = 0
        for count, length in COUNTER.iter_unpack(value):
            packets += count
            octets += length
        name = OUTCOMES[outcome] if outcome < len(OUTCOMES) else f"outcome {outcome}"
        counts[ifindex, name] = (packets, octets)
    return counts
