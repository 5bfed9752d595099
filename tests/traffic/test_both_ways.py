"""One interface on which this host's own clients and those behind it are intercepted."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.lab.counters import counting
from tests.lab.patience import PATIENCE
from tests.traffic import support
from tests.traffic.sockets import answer, exchange, receive
from tests.traffic.support import BEHIND, Applied, Family, Sender, make_site

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
DGRAM = socket.SOCK_DGRAM


@pytest.fixture(scope="module")
def host() -> Iterator[Applied]:
    site = make_site(dict.fromkeys(("wan0", "lan0"), "[output, forward]"))
    with support.applied(site) as made:
        yield made


@pytest.mark.usefixtures("no_leak")
def test_connections_of_this_host_and_of_those_behind_it_are_intercepted(
    host: Applied, family: Family, sender: Sender, tcp: socket.socket
) -> None:
    with counting(host) as added:
        near, far = host.pair(tcp, sender, family)
        with near, far:
            exchange(near, far, 1 << 20)
    assert added[sender.interface, "new"] == 1


@pytest.mark.usefixtures("no_leak")
def test_datagrams_of_this_host_and_of_those_behind_it_are_intercepted(
    host: Applied, family: Family, sender: Sender, udp: socket.socket
) -> None:
    with host.client(sender, family, DGRAM) as near, counting(host) as added:
        for number in range(3):
            near.sendto(bytes([number]), (family.far, 53))
            came = receive(udp)
            answer(host, came, came.data)
            assert near.recv(10) == bytes([number])
    assert added[sender.interface, "intercepted"] == 3
    assert added[sender.interface, "new"] == 1


def test_this_host_takes_those_behind_it_for_the_far_end_of_its_own_connections(
    host: Applied, family: Family, tcp: socket.socket
) -> None:
    """What it opens towards them leaves by ``lan0``, so it is intercepted there."""
    near = host.client(support.UNBOUND, family)
    with near, counting(host) as added:
        near.connect((family.behind, 80))
        far, _ = tcp.accept()
        with far:
            assert far.getsockname()[:2] == (family.behind, 80)
            exchange(near, far, 1 << 16)
    assert added["lan0", "new"] == 1


@pytest.fixture(params=["both", "IPv4", "IPv6", "neither"])
def forwarded(host: Applied, request: pytest.FixtureRequest) -> Iterator[None]:
    """What is forwarded; the kernel says of the rest that it is not, whoever it is for."""
    families = {"net.ipv4.ip_forward": "IPv4", "net.ipv6.conf.all.forwarding": "IPv6"}
    for name, family in families.items():
        host.lab.host.sysctl(name, int(request.param in {"both", family}))
    yield
    for name in families:
        host.lab.host.sysctl(name, 1)


@pytest.mark.usefixtures("forwarded")
@pytest.mark.parametrize("size", [10, 4000], ids=["whole", "fragments"])
@pytest.mark.parametrize("visitor", ["net", "lan"])
def test_this_hosts_own_services_answer_whether_it_forwards_or_not(
    host: Applied, family: Family, udp: socket.socket, visitor: str, size: int
) -> None:
    device, address = ("wan0", family.host) if visitor == "net" else ("lan0", family.gate)
    with (
        host.lab.host.socket(family.number, DGRAM) as server,
        host.namespace(visitor).socket(family.number, DGRAM) as near,
        counting(host) as added,
    ):
        server.bind((address, 5300))
        near.settimeout(PATIENCE)
        for _ in range(2):
            near.sendto(bytes(size), (address, 5300))
            data, client = server.recvfrom(65536)
            server.sendto(data, client)
            assert near.recv(65536) == bytes(size)
        udp.settimeout(0)
        with pytest.raises(BlockingIOError):
            udp.recv(1)
    assert added[device, "new"] == 0


@pytest.mark.parametrize("size", [10, 4000], ids=["whole", "fragments"])
@pytest.mark.parametrize("where", ["gate", "host"], ids=["lan0", "wan0"])
def test_this_hosts_own_services_answer_those_behind_it(
    host: Applied, family: Family, where: str, size: int
) -> None:
    address = getattr(family, where)
    with (
        host.lab.host.socket(family.number, DGRAM) as server,
        host.client(BEHIND, family, DGRAM) as near,
    ):
        server.bind((address, 5300))
        near.settimeout(PATIENCE)
        near.sendto(bytes(size), (address, 5300))
        data, client = server.recvfrom(65536)
        server.sendto(data, client)
        assert near.recv(65536) == bytes(size)
    with host.lab.host.socket(family.number) as server, host.client(BEHIND, family) as near:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, 22))
        server.listen()
        near.connect((address, 22))
        far, _ = server.accept()
        with far:
            exchange(near, far, 1 << 16)
