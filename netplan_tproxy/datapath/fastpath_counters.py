"""What the fast path has counted, and how many sockets take part in it now."""

from __future__ import annotations

from pathlib import Path

from netplan_tproxy.datapath.fastpath import COUNTERS, COUNTS, OUTCOMES, SOCKS
from netplan_tproxy.kernel.bpf.dump import entries, opened


def fast_counters(maps: Path) -> dict[str, int] | None:
    """Read all counters, the CPUs added up, and ``sockets``; None without a fast path.

    ``maps`` is the directory of the pins.
    """
    counts = None
    with opened(str(maps / COUNTERS.pin)) as fd:
        for _, value in entries(fd) if fd is not None else ():
            per_cpu = list(COUNTS.iter_unpack(value))
            counts = {name: sum(c[number] for c in per_cpu) for number, name in enumerate(OUTCOMES)}
    if counts is not None:
        with opened(str(maps / SOCKS.pin)) as fd:
            counts["sockets"] = sum(1 for _ in entries(fd)) if fd is not None else 0
    return counts
