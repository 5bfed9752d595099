"""Devices without a link-layer header: ``tun0`` leads out, machines are behind ``tun1``."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.lab import EchoServer, Lab, Namespace
from tests.lab.counters import counting
from tests.lab.patience import PATIENCE
from tests.lab.streams import read_exactly
from tests.traffic.icmp import pings
from tests.traffic.sockets import answer, exchange, listener, receive
from tests.traffic.support import BYPASS, UNBOUND, V4, Applied, Family, Sender, make_site
from tests.traffic.tun import Cable

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
DGRAM = socket.SOCK_DGRAM
BEHIND_TUN = Sender("lan", "tun1")

HOST = """
addr add 10.87.0.2/24 dev tun0
addr add fd87::2/64 dev tun0 nodad
addr add 10.89.0.1/24 dev tun1
addr add fd89::1/64 dev tun1 nodad
link set tun0 addrgenmode none
link set tun0 up
link set tun1 addrgenmode none
link set tun1 up
route replace default dev tun0
route replace ::/0 dev tun0 metric 1
"""
NET = """
addr add 10.87.0.1/24 dev out0
addr add fd87::1/64 dev out0 nodad
link set out0 addrgenmode none
link set out0 up
route add 10.89.0.0/24 dev out0
route add fd89::/64 dev out0
"""
LAN = """
addr add 10.89.0.2/24 dev in0
addr add fd89::2/64 dev in0 nodad
link set in0 addrgenmode none
link set in0 up
route replace default dev in0
route del ::/0
route add ::/0 dev in0
"""


class Tunnels(NamedTuple):
    host: Applied
    out: Cable


@pytest.fixture(scope="module")
def tunnels() -> Iterator[Tunnels]:
    with Lab(lan=True, ipv6=True) as lab:
        assert lab.lan is not None
        with (
            Cable((lab.host, "tun0"), (lab.net, "out0")) as out,
            Cable((lab.lan, "in0"), (lab.host, "tun1")),
        ):
            for namespace, lines in ((lab.host, HOST), (lab.net, NET), (lab.lan, LAN)):
                namespace.run(["ip", "-batch", "-"], stdin=lines.strip() + "\n")
            on = Applied(lab)
            on.apply(make_site({"tun0": "output", "tun1": "forward"}))
            yield Tunnels(on, out)


@pytest.fixture
def host(tunnels: Tunnels) -> Iterator[Applied]:
    """The applied host; fails if anything has left by ``tun0``."""
    tunnels.out.take()
    yield tunnels.host
    time.sleep(0.02)
    assert tunnels.out.take() == []


@pytest.fixture(
    params=[Sender("host", "tun0"), Sender("host", "tun0", "tun0"), BEHIND_TUN],
    ids=["unbound", "bound", "behind"],
)
def sender(request: pytest.FixtureRequest) -> Sender:
    found: Sender = request.param
    return found


def test_connections_are_intercepted(
    host: Applied, family: Family, sender: Sender, tcp: socket.socket
) -> None:
    with counting(host) as added:
        for first in (0, 1):
            pair = host.pair(tcp, sender, family)
            exchange(*pair, 4 << 20)
            pair[first].close()
            pair[1 - first].close()
    assert added[sender.interface, "new"] == 2


def wait_for_the_last_ack(namespace: Namespace) -> None:
    for _ in range(500):
        if not namespace.run(["ss", "-Htan", "state", "last-ack"]).stdout:
            return
        time.sleep(0.01)
    pytest.fail("the client's last acknowledgement never came")


def test_a_port_may_be_used_again_while_the_proxy_is_in_time_wait(
    host: Applied, family: Family, sender: Sender, tcp: socket.socket
) -> None:
    namespace = host.lan if sender is BEHIND_TUN else host.lab.host
    before = namespace.netstat("TCPSynRetrans")
    with counting(host) as added:
        for _ in range(3):
            near = host.client(sender, family)
            near.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            near.bind(("", 42000))
            near.settimeout(PATIENCE)
            near.connect((family.far, 80))
            with near, tcp.accept()[0] as far:
                far.sendall(b"x")
                assert near.recv(1) == b"x"
                far.close()
                assert near.recv(1) == b""
            wait_for_the_last_ack(namespace)
    assert added[sender.interface, "time_wait"] >= 2
    assert namespace.netstat("TCPSynRetrans") == before


def test_datagrams_are_intercepted_and_answered(
    host: Applied, family: Family, sender: Sender, udp: socket.socket
) -> None:
    with host.client(sender, family, DGRAM) as near, counting(host) as added:
        for size in (0, 1, 1000, 1400):
            near.sendto(bytes(size), (family.far, 53))
            came = receive(udp)
            assert (len(came.data), came.target) == (size, (family.far, 53))
            answer(host, came, came.data)
            data, source = near.recvfrom(2000)
            assert (len(data), source[:2]) == (size, (family.far, 53))
    assert added[sender.interface, "new"] == 1


def test_nobody_listens(host: Applied, family: Family, sender: Sender) -> None:
    with host.client(sender, family) as near, pytest.raises(ConnectionRefusedError):
        near.connect((family.far, 80))
    with host.client(sender, family, DGRAM) as near:
        near.connect((family.far, 53))
        near.settimeout(PATIENCE)
        near.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            near.recv(1)


def test_what_is_bypassed_leaves_by_the_tunnel(tunnels: Tunnels, family: Family) -> None:
    host = tunnels.host
    with EchoServer(host.lab.net, family.far), host.client(UNBOUND, family, mark=BYPASS) as near:
        near.connect((family.far, 7))
        near.sendall(b"direct")
        assert read_exactly(near, 6) == b"direct"
    assert tunnels.out.take()


def test_pings_pass_both_tunnels(tunnels: Tunnels, family: Family) -> None:
    with listener(tunnels.host, family):
        assert pings(tunnels.host.lan, family.number, family.far)
        assert pings(tunnels.host.lab.host, family.number, family.far)


@pytest.mark.parametrize("role", ["net", "lan"])
def test_this_hosts_own_services_are_reached_through_the_tunnel(
    tunnels: Tunnels, family: Family, role: str
) -> None:
    host = tunnels.host
    address = "10.87.0.2" if family is V4 else "fd87::2"
    for kind in (socket.SOCK_STREAM, DGRAM):
        with (
            host.lab.host.socket(family.number, kind) as server,
            host.namespace(role).socket(family.number, kind) as near,
        ):
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((address, 5300))
            if kind == socket.SOCK_STREAM:
                server.listen()
            near.connect((address, 5300))
            near.send(b"question")
            if kind == DGRAM:
                server.sendto(*server.recvfrom(100))
                assert near.recv(100) == b"question"
                continue
            far, _ = server.accept()
            with far:
                assert far.recv(100) == b"question"
                exchange(near, far, 1 << 16)
