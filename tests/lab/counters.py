"""What the programs have counted in a lab's HOST."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from typing import TYPE_CHECKING

from netplan_tproxy.datapath import layouts
from netplan_tproxy.datapath import programs as datapath
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.host.netns import netns_cookie
from tests.lab.isolate import BPFFS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Protocol

    from tests.lab.lab import Lab

    class Applied(Protocol):
        """Whatever has a lab on which the tool has run."""

        lab: Lab


def pins_of(lab: Lab) -> Path:
    """Where the tool pins what it has put into HOST."""
    with lab.host.entered():
        return BPFFS / "netplan-tproxy" / str(netns_cookie())


def read_counters(on: Applied, what: str = "packets") -> Counter[tuple[str, str]]:
    """Packets, or ``bytes``, by device and outcome, so far."""
    column = ("packets", "bytes").index(what)
    with on.lab.host.entered():
        devices = dict(socket.if_nameindex())
    counted: Counter[tuple[str, str]] = Counter()
    with bpf_maps.open_pinned(str(pins_of(on.lab) / "maps" / layouts.COUNTERS.pin)) as fd:
        size = bpf_maps.entry_size(bpf_maps.map_info(fd))
        for key in bpf_maps.keys(fd, layouts.COUNTER_KEY.size):
            ifindex, outcome = layouts.COUNTER_KEY.unpack(key)
            per_cpu = layouts.COUNTER.iter_unpack(bpf_maps.lookup(fd, key, size) or b"")
            name = devices.get(ifindex, str(ifindex)), datapath.OUTCOMES[outcome]
            counted[name] += sum(value[column] for value in per_cpu)
    return counted


@contextlib.contextmanager
def counting(on: Applied) -> Iterator[Counter[tuple[str, str]]]:
    """What the block has added to the counters, filled in at its end.

    Without ``other_protocol``: ARP and NDP may add to it at any time.
    """
    added: Counter[tuple[str, str]] = Counter()
    before = read_counters(on)
    yield added
    after = read_counters(on) - before
    added.update({key: packets for key, packets in after.items() if key[1] != "other_protocol"})
