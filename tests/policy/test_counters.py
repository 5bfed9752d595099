"""Packets and bytes are counted per interface, outcome and CPU, and none is lost."""

from __future__ import annotations

import os
import socket
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.datapath.layouts import COUNTER, COUNTER_KEY, COUNTERS
from netplan_tproxy.datapath.programs import OUTCOMES
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.site.model import Policy
from tests.policy.probes import DEVICES, FAMILIES, Probe
from tests.policy.support import PolicyHost, networks

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

CPUS = sorted(os.sched_getaffinity(0))
HEADERS = {4: 14 + 20 + 8, 6: 14 + 40 + 8}
SIZES = (0, 1, 100, 1400)
TO = {4: "20.1.2.3", 6: "2001:db8:1::3"}


@contextmanager
def running_on(cpu: int) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def per_cpu(host: PolicyHost, device: str, outcome: str) -> list[tuple[int, int]]:
    """Packets and bytes on each CPU."""
    with host.lab.host.entered():
        ifindex = socket.if_nametoindex(device)
    key = COUNTER_KEY.pack(ifindex, OUTCOMES.index(outcome))
    with bpf_maps.open_pinned(str(host.pins / "maps" / COUNTERS.pin)) as fd:
        size = bpf_maps.entry_size(bpf_maps.map_info(fd))
        value = bpf_maps.lookup(fd, key, size) or bytes(size)
    return [(packets, octets) for packets, octets in COUNTER.iter_unpack(value)]


@pytest.mark.parametrize("version", FAMILIES)
@pytest.mark.parametrize("way", DEVICES)
def test_each_cpu_counts_the_packets_and_bytes_that_it_has_seen(
    host: PolicyHost, way: str, version: int
) -> None:
    host.applied(Policy(bypass_to=networks("20.1.0.0/16", "2001:db8::/32")))
    device = DEVICES[way]
    # Once per flow the rule is counted; the rest of it goes by untracked.
    before = {what: per_cpu(host, device, what) for what in ("bypass_to", "untracked")}
    sent: Counter[int] = Counter()
    for turn, cpu in enumerate(CPUS):
        with running_on(cpu), Probe(way, "udp", TO[version]).socket(host.lab) as near:
            for size in SIZES * (turn + 1):
                near.sendto(bytes(size), (TO[version], 80))
                sent[cpu] += 1
    for what in before:
        after = per_cpu(host, device, what)
        for turn, cpu in enumerate(CPUS):
            sizes = [SIZES[0]] if what == "bypass_to" else [*(SIZES * (turn + 1))[1:]]
            packets, octets = (
                new - old for new, old in zip(after[cpu], before[what][cpu], strict=True)
            )
            assert packets == len(sizes)
            assert octets == sum(sizes) + packets * HEADERS[version]
    assert sum(sent.values()) == sum(
        new - old
        for what, earlier in before.items()
        for (new, _), (old, _) in zip(per_cpu(host, device, what), earlier, strict=True)
    )


def test_an_interface_is_counted_apart_from_another(host: PolicyHost) -> None:
    before = {device: per_cpu(host, device, "intercepted") for device in DEVICES.values()}
    for turn, way in enumerate(DEVICES):
        for _ in range(turn + 1):
            assert host.outcome(Probe(way, "udp", TO[4])) == "intercepted"
    for turn, device in enumerate(DEVICES.values()):
        after = sum(packets for packets, _ in per_cpu(host, device, "intercepted"))
        assert after - sum(packets for packets, _ in before[device]) == turn + 1
