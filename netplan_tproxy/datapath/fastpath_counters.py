"""What the fast path has counted, and how many sockets take part in it now."""

from __future__ import annotations

from pathlib import Path

from netplan_tproxy.datapath.fastpath import COUNTERS, COUNTS, OUTCOMES, SOCKS
from netplan_tproxy.kernel.bpf.dump import entries, opened


def fast_counters(maps: Path) -> dict[str, int] | None:
    """Read all, the CPUs added up, and ``sockets``; None where there is no fast path.

    ``maps`` is the directory of the pins.
    """
    found = None
    with opened(str(maps / COUNTERS.pin)) as fd:
        for _, value in entries(fd) if fd is not None else ():
            per_cpu = list(COUNTS.iter_unpack(value))
            found = {name: sum(c[number] for c in per_cpu) for number, name in enumerate(OUTCOMES)}
    if found is not None:
        with opened(str(maps / SOCKS.pin)) as fd:
            found["sockets"] = sum(1 for _ in entries(fd)) if fd is not None else 0
    return found
