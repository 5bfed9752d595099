"""What the fast path has counted, and how many take part in it now."""

from __future__ import annotations

from netplan_tproxy.datapath.fastpath import COUNTERS, COUNTS, INSIDE, INSIDE_AT, OUTCOMES, PAIRS
from netplan_tproxy.datapath.pinned_maps import PinnedMaps
from netplan_tproxy.kernel.bpf.maps import map_info


def fast_counters(maps: PinnedMaps) -> dict[str, int] | None:
    """Read all counters, the CPUs added up; None without a fast path.

    With ``sockets`` and ``connections`` that take part now, and the ``most_connections`` that
    there is room for. Raises KernelError.
    """
    counts = None
    for _, value in maps.entries(COUNTERS.pin):
        per_cpu = list(COUNTS.iter_unpack(value))
        counts = {name: sum(c[number] for c in per_cpu) for number, name in enumerate(OUTCOMES)}
    if counts is not None:
        inside = [sum(INSIDE.unpack_from(pair, INSIDE_AT)) for _, pair in maps.entries(PAIRS.pin)]
        counts |= {"sockets": sum(inside), "connections": len(inside)}
        counts["most_connections"] = PAIRS.max_entries
        pairs = maps.find(PAIRS.pin)
        if pairs is not None:
            with pairs:
                counts["most_connections"] = map_info(pairs).max_entries
    return counts
