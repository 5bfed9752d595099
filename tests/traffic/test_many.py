"""As many connections at once as there are ports for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import Capture, Namespace
from tests.lab.counters import counting
from tests.lab.memory import charged
from tests.lab.patience import eventually
from tests.traffic import crowd
from tests.traffic.sockets import leaks
from tests.traffic.support import Applied

pytestmark = [pytest.mark.lab, pytest.mark.bpf, pytest.mark.slow]
MANY = 50_000 // 6 * 6  # as many of each kind


def tcp_sockets(namespace: Namespace) -> int:
    """How many there are, those that only wait included (/proc/net/sockstat)."""
    with namespace.entered():
        v4 = Path("/proc/thread-self/net/sockstat").read_text()
        v6 = Path("/proc/thread-self/net/sockstat6").read_text()
    fields = next(line.split() for line in v4.splitlines() if line.startswith("TCP:"))
    inuse6 = next(line.split() for line in v6.splitlines() if line.startswith("TCP6:"))[2]
    return int(fields[2]) + int(fields[6]) + int(inuse6)


def all_sockets(namespace: Namespace) -> int:
    """How many have not been freed yet, whether anybody can find them or not."""
    with namespace.entered():
        line = Path("/proc/thread-self/net/sockstat").read_text().splitlines()[0]
    return int(line.removeprefix("sockets: used "))


def test_fifty_thousand_connections_live_side_by_side(host: Applied) -> None:
    sockets, unfreed = tcp_sockets(host.lab.host), all_sockets(host.lab.host)
    with Capture(host.lab.net, "isp0") as wire, charged() as memory:
        before = memory() if memory else 0
        with counting(host) as added, crowd.gathered(host, MANY) as many:
            assert many.ask("alive") == MANY
            assert many.ask("some") >= MANY // 50
            assert all_sockets(host.lab.host) >= unfreed + MANY
            held = memory() - before if memory else 0
            many.ask("end")
        if memory:
            assert held > 2 * MANY * 1000
            eventually(lambda: memory() - before < held / 5)
        assert leaks(wire) == []
    assert added["wan0", "new"] + added["lan0", "new"] == MANY
    eventually(lambda: tcp_sockets(host.lab.host) == sockets)
    eventually(lambda: all_sockets(host.lab.host) <= unfreed)
