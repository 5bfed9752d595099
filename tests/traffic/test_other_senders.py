"""What leaves by an interface and no socket of this host's network namespace has sent."""

from __future__ import annotations

import contextlib
import itertools
import secrets
import socket
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.lab import Capture, Namespace
from tests.lab.counters import counting
from tests.lab.patience import PATIENCE
from tests.traffic.frames import SYN, datagram, frame, ip_packet, mac_of, sender_of, tcp_segment
from tests.traffic.sockets import answer, leaks, listener, receive
from tests.traffic.support import UNBOUND, V4, Applied, Family

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
DGRAM = socket.SOCK_DGRAM
ECHO = 7


class Box(NamedTuple):
    """A namespace with a macvlan of ``wan0``, and its address of a family."""

    namespace: Namespace
    address: str

    def socket(self, family: Family, kind: socket.SocketKind, port: int = 0) -> socket.socket:
        made = self.namespace.socket(family.number, kind)
        made.bind(("", port))
        return made


@pytest.fixture(scope="module")
def namespace(host: Applied) -> Iterator[Namespace]:
    made = Namespace(f"{host.lab.name}-box")
    try:
        for name in ("accept_dad", "router_solicitations"):
            made.sysctl(f"net.ipv6.conf.default.{name}", 0)
        link = "link add link wan0 name box0 type macvlan mode bridge"
        host.lab.host.run(["ip", *link.split()])
        host.lab.host.run(["ip", "link", "set", "box0", "netns", made.name])
        gateway = mac_of(host.lab.net, "isp0").hex(":")
        lines = [
            "link set box0 addrgenmode none", "addr add 10.77.0.9/24 dev box0",
            "addr add fd77::9/64 dev box0 nodad", "link set box0 up",
            "route add default via 10.77.0.1",
            "route add default via fd77::1",
            f"neigh replace fd77::1 lladdr {gateway} dev box0",
        ]  # fmt: skip
        made.run(["ip", "-batch", "-"], stdin="".join(f"{line}\n" for line in lines))
        own = mac_of(made, "box0").hex(":")
        host.lab.net.run(["ip", "neigh", "replace", "fd77::9", "lladdr", own, "dev", "isp0"])
        yield made
    finally:
        made.close()


@pytest.fixture
def box(namespace: Namespace, family: Family) -> Box:
    return Box(namespace, "10.77.0.9" if family == V4 else "fd77::9")


@contextlib.contextmanager
def far_end(host: Applied, family: Family, kind: socket.SocketKind) -> Iterator[socket.socket]:
    with host.lab.net.socket(family.number, kind) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((family.far, ECHO))
        if kind == socket.SOCK_STREAM:
            made.listen()
        yield made


@pytest.fixture(params=["forwarding", "not forwarding"])
def forwarding(host: Applied, request: pytest.FixtureRequest) -> Iterator[bool]:
    """Where this host does not forward, the kernel does not tell whose an address is."""
    names = [f"net.{family}.conf.wan0.forwarding" for family in ("ipv4", "ipv6")]
    usual = [host.lab.host.sysctl(name) for name in names]
    for name in names:
        host.lab.host.sysctl(name, int(request.param == "forwarding"))
    yield request.param == "forwarding"
    for name, value in zip(names, usual, strict=True):
        host.lab.host.sysctl(name, value)


def test_a_connection_of_another_namespace_is_left_alone(
    host: Applied,
    family: Family,
    tcp: socket.socket,
    box: Box,
    forwarding: bool,  # noqa: FBT001
) -> None:
    del tcp
    devices = ["", "box0"] if forwarding else [""]
    with far_end(host, family, socket.SOCK_STREAM) as server, counting(host) as added:
        for device, ends_first in itertools.product(devices, (0, 1)):
            near = box.socket(family, socket.SOCK_STREAM)
            near.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            near.settimeout(PATIENCE)
            near.connect((family.far, ECHO))
            far, peer = server.accept()
            assert peer[0] == box.address
            far.sendall(b"hello")
            assert near.recv(5) == b"hello"
            ends = (near, far)
            ends[ends_first].close()
            assert ends[1 - ends_first].recv(1) == b""
            ends[1 - ends_first].close()
    assert {outcome for _, outcome in added} == {"other_namespace", "untracked"}
    assert added["wan0", "other_namespace"] == 2 * len(devices)


def asks(near: socket.socket, server: socket.socket, family: Family) -> None:
    question = secrets.token_bytes(8)
    near.settimeout(PATIENCE)
    near.sendto(question, (family.far, ECHO))
    data, source = server.recvfrom(100)
    assert data == question
    server.sendto(b"answer", source)
    assert near.recv(10) == b"answer"


def test_a_datagram_of_another_namespace_is_left_alone(
    host: Applied,
    family: Family,
    udp: socket.socket,
    box: Box,
    forwarding: bool,  # noqa: FBT001
) -> None:
    del udp, forwarding
    with (
        far_end(host, family, DGRAM) as server,
        box.socket(family, DGRAM) as near,
        counting(host) as added,
    ):
        asks(near, server, family)
        near.connect((family.far, ECHO))
        asks(near, server, family)
    assert added == {("wan0", "other_namespace"): 2}


@pytest.mark.parametrize("where", ["everywhere", "address"])
def test_a_socket_of_this_host_with_the_same_port_makes_no_difference(
    host: Applied, family: Family, udp: socket.socket, box: Box, where: str
) -> None:
    """NTP, for one, talks from one well-known port, here as there."""
    port = 12300 if where == "everywhere" else 12310
    with (
        far_end(host, family, DGRAM) as server,
        box.socket(family, DGRAM, port) as near,
        host.client(UNBOUND, family, DGRAM) as own,
        counting(host) as added,
    ):
        own.bind(("" if where == "everywhere" else family.host, port))
        asks(near, server, family)
        own.sendto(b"taken", (family.far, ECHO))
        came = receive(udp)
        assert came.data == b"taken"
        answer(host, came, b"by the proxy")
        assert own.recv(100) == b"by the proxy"
        asks(near, server, family)
    assert added["wan0", "other_namespace"] == 2


@pytest.mark.parametrize("together", [2, 9])
def test_clients_of_this_host_that_share_a_port_are_taken(
    host: Applied,
    family: Family,
    udp: socket.socket,
    together: int,
    forwarding: bool,  # noqa: FBT001
) -> None:
    """Whichever of them is found to have the port."""
    del forwarding
    clients = []
    with contextlib.ExitStack() as stack:
        for _ in range(together):
            made = stack.enter_context(host.client(UNBOUND, family, DGRAM))
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            made.bind(("", 12301))
            clients.append(made)
        with counting(host) as added:
            for number, client in enumerate(clients):
                client.sendto(b"taken", (family.far, 2000 + number))
                assert receive(udp).data == b"taken"
    assert added["wan0", "other_namespace"] == 0


@pytest.mark.parametrize("what", ["datagram", "opening"])
def test_what_a_packet_socket_sends_is_left_alone(host: Applied, wire: Capture, what: str) -> None:
    """A DHCP server tells a client that has no address yet of the one it may have."""
    ends = mac_of(host.lab.host, "wan0"), mac_of(host.lab.net, "isp0")
    source, target = (V4.host, 67), (V4.far, 68)
    packet = datagram(source, target, b"offer")
    if what == "opening":
        segment = tcp_segment(source, target, SYN)
        packet = ip_packet(V4.host, V4.far, socket.IPPROTO_TCP, segment)
    with (
        listener(host, V4),
        listener(host, V4, DGRAM),
        sender_of(host.lab.host, "wan0") as sender,
        counting(host) as added,
    ):
        sender.send(frame(*ends, packet))
        (seen,) = leaks(wire)
        assert (seen.src, seen.sport, seen.dst, seen.dport) == (*source, *target)
    assert added == {("wan0", "packet_socket"): 1}
