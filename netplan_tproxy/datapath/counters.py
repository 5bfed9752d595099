"""What the programs have counted, by device and by what became of a packet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from netplan_tproxy.datapath.layouts import COUNTER, COUNTER_KEY, COUNTERS
from netplan_tproxy.datapath.programs import OUTCOMES
from netplan_tproxy.kernel.bpf.dump import entries, opened

# (ifindex, outcome) to (packets, bytes)
Counts = Mapping[tuple[int, str], tuple[int, int]]


def counters(maps: Path) -> Counts:
    """Read all counters, their CPUs added up; ``maps`` is the directory of the pins."""
    counts = {}
    with opened(str(maps / COUNTERS.pin)) as fd:
        for key, value in entries(fd) if fd is not None else ():
            ifindex, outcome = COUNTER_KEY.unpack(key)
            packets = octets = 0
            for count, length in COUNTER.iter_unpack(value):
                packets += count
                octets += length
            name = OUTCOMES[outcome] if outcome < len(OUTCOMES) else f"outcome {outcome}"
            counts[ifindex, name] = (packets, octets)
    return counts
