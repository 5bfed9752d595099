"""Interfaces that are ports of a bridge, and the bridge itself."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.lab import Lab, diff_snapshots, snapshot
from tests.lab.counters import counting
from tests.traffic.sockets import answer, exchange, receive
from tests.traffic.support import Applied, Family, Sender, make_site

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
DGRAM = socket.SOCK_DGRAM

# HOST's addresses move from the ports to the bridges.
BRIDGES = """
link add br0 type bridge
link add br1 type bridge
link set br0 addrgenmode none
link set br1 addrgenmode none
addr flush dev wan0
addr flush dev lan0
link set wan0 master br0
link set lan0 master br1
addr add 10.77.0.2/24 dev br0
addr add fd77::2/64 dev br0 nodad
addr add 10.79.0.1/24 dev br1
addr add fd79::1/64 dev br1 nodad
link set br0 up
link set br1 up
route replace default via 10.77.0.1 dev br0
route replace ::/0 via fd77::1 dev br0 metric 1
"""


@pytest.fixture(scope="module")
def host() -> Iterator[Applied]:
    with Lab(lan=True, ipv6=True) as lab:
        lab.host.run(["ip", "-batch", "-"], stdin=BRIDGES.strip() + "\n")
        made = Applied(lab)
        made.apply(make_site({"br0": "output", "br1": "forward"}))
        yield made


@pytest.fixture(
    params=[Sender("host", "br0"), Sender("host", "br0", "br0"), Sender("lan", "br1")],
    ids=["unbound", "bound", "behind"],
)
def sender(request: pytest.FixtureRequest) -> Sender:
    found: Sender = request.param
    return found


@pytest.mark.usefixtures("no_leak")
def test_connections_and_datagrams_are_intercepted_on_the_bridge(
    host: Applied, family: Family, sender: Sender, tcp: socket.socket, udp: socket.socket
) -> None:
    near, far = host.pair(tcp, sender, family)
    with near, far, counting(host) as added:
        exchange(near, far, 1 << 20)
    assert added[sender.interface, "intercepted"] > 0
    with host.client(sender, family, DGRAM) as end:
        end.sendto(b"question", (family.far, 53))
        answer(host, receive(udp), b"answer")
        assert end.recv(100) == b"answer"


@pytest.mark.usefixtures("no_leak")
def test_on_the_bridge_clients_hear_at_once_that_nobody_listens(
    host: Applied, family: Family, sender: Sender
) -> None:
    with host.client(sender, family) as near, pytest.raises(ConnectionRefusedError):
        near.connect((family.far, 80))


@pytest.mark.parametrize("direction", ["output", "forward"])
def test_a_port_of_a_bridge_is_refused_and_the_bridge_named(
    host: Applied, direction: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its frames pass it without the addresses and routes that interception needs."""
    before = snapshot(host.lab.host)
    before.pop("links")  # a bridge's timers run
    assert host.run(make_site({"wan0": direction})) == 1
    after = snapshot(host.lab.host)
    after.pop("links")
    assert diff_snapshots(before, after) == []
    (line,) = capsys.readouterr().err.splitlines()
    assert "interfaces.wan0: belongs to br0" in line
    assert line.endswith("nothing was touched")
