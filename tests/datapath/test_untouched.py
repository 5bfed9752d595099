"""What is not this host's own connection to somewhere else passes as if nobody looked."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.datapath import support
from tests.datapath.support import FAR, WEB, Applied, echoes
from tests.lab import Capture, EchoServer
from tests.lab.counters import counting, read_counters
from tests.lab.streams import hears_nothing, reset

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
OWN = "10.77.0.2"
OURS = {"intercepted", "new", "reply", "refused", "time_wait"}
both = pytest.mark.parametrize("device", ["", "wan0"], ids=["unbound", "bound"])


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Applied]:
    with support.applied(tmp_path_factory.mktemp("site"), lan=True) as made:
        yield made


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", OWN, "10.79.0.1"])
def test_local_traffic_passes(host: Applied, proxy: socket.socket, address: str) -> None:
    with EchoServer(host.lab.host, address, 80), host.client() as near, counting(host) as added:
        assert echoes(near, (address, 80))
    assert hears_nothing(proxy)
    assert not added


@pytest.mark.parametrize("origin", ["net", "lan"])
def test_inbound_connections_pass(host: Applied, proxy: socket.socket, origin: str) -> None:
    namespace = host.lab.net if origin == "net" else host.lab.lan
    assert namespace is not None
    with EchoServer(host.lab.host, OWN, 80) as server, namespace.socket() as near:
        with counting(host) as added:
            assert echoes(near, (OWN, 80))
            local = near.getsockname()
    assert server.peers == [local]
    assert hears_nothing(proxy)
    assert not OURS & {outcome for _, outcome in added}
    if origin == "net":
        assert added["wan0", "untracked"] > 0


def test_inbound_connections_pass_although_the_peer_uses_a_port_served_here(
    host: Applied, proxy: socket.socket
) -> None:
    """The answer to its SYN has no full socket, and a wildcard server fits its tuple."""
    with support.listener(host, ("0.0.0.0", 80), transparent=False) as other:
        with EchoServer(host.lab.host, OWN, 7), host.lab.net.socket() as near:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            near.bind(WEB)
            assert echoes(near, (OWN, 7))
        assert hears_nothing(other)
    assert hears_nothing(proxy)


def test_an_inbound_connection_passes_on_addresses_and_ports_once_intercepted(
    host: Applied, proxy: socket.socket
) -> None:
    near, far = host.pair(proxy, port=43000)
    reset(near)
    far.close()
    with EchoServer(host.lab.host, OWN, 43000), host.lab.net.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        peer.bind(WEB)
        before = host.lab.net.netstat("TCPSynRetrans")
        assert echoes(peer, (OWN, 43000))
        # The answer to its SYN needed no second try.
        assert host.lab.net.netstat("TCPSynRetrans") == before


def test_forwarded_connections_pass(host: Applied, proxy: socket.socket) -> None:
    assert host.lab.lan is not None
    with EchoServer(host.lab.net) as server, host.lab.lan.socket() as near:
        with counting(host) as added:
            assert echoes(near, (FAR, 7))
        assert server.peers == [near.getsockname()]
    assert hears_nothing(proxy)
    assert added["wan0", "forwarded"] > 0
    assert {outcome for _, outcome in added} == {"forwarded"}


@both
def test_marked_connections_go_out_directly(
    host: Applied, proxy: socket.socket, device: str
) -> None:
    with EchoServer(host.lab.net) as server, host.client(device, mark=2) as near:
        with counting(host) as added:
            assert echoes(near, (FAR, 7))
        assert server.peers == [near.getsockname()]
    assert hears_nothing(proxy)
    assert added["wan0", "bypass_mark"] == 1
    assert not OURS & {outcome for _, outcome in added}


def test_datagrams_pass_while_no_proxy_takes_them(host: Applied) -> None:
    with host.lab.net.socket(kind=socket.SOCK_DGRAM) as server:
        server.bind((FAR, 80))
        with host.lab.host.socket(kind=socket.SOCK_DGRAM) as near, counting(host) as added:
            near.connect((FAR, 80))
            near.send(b"question")
            data, peer = server.recvfrom(100)
            server.sendto(b"answer", peer)
            assert (data, near.recv(100)) == (b"question", b"answer")
    assert added == {("wan0", "no_proxy"): 1}


@pytest.mark.parametrize("protocol", ["icmp", "sctp"])
def test_other_protocols_pass(host: Applied, protocol: str) -> None:
    """The kernel of NET answers an echo request, and refuses a protocol it does not know."""
    number = socket.getprotobyname(protocol)
    payload = bytes.fromhex("0800 f7ff 0000 0000") if protocol == "icmp" else bytes(12)
    with host.lab.host.socket(kind=socket.SOCK_RAW, proto=number) as raw:
        before = read_counters(host)
        with Capture(host.lab.net, "isp0") as wire:
            raw.sendto(payload, (FAR, 0))
            answer = wire.wait_for(lambda packet: packet.src == FAR)
        added = read_counters(host) - before
    assert answer.dst == OWN
    assert added["wan0", "other_protocol"] > 0
    assert {outcome for _, outcome in added} == {"other_protocol"}


@both
def test_a_local_wildcard_server_never_gets_an_intercepted_connection(
    host: Applied, device: str
) -> None:
    for transparent in (False, True):
        with support.listener(host, ("0.0.0.0", 80), transparent=transparent) as server:
            with pytest.raises(ConnectionRefusedError):
                host.connect(device)
            with support.listener(host) as proxy:
                near, far = host.pair(proxy, device)
                near.sendall(b"for the proxy")
                assert far.recv(20) == b"for the proxy"
                near.close()
                far.close()
            assert hears_nothing(server)


@both
@pytest.mark.parametrize(
    "address", ["169.254.5.5", "127.9.9.9", "0.1.2.3", "240.1.2.3", "255.255.255.254"]
)
def test_special_addresses_are_never_intercepted(
    host: Applied, proxy: socket.socket, device: str, address: str
) -> None:
    # Loopback addresses leave by an interface where an administrator routes them so.
    table = "local" if address.startswith("127") else "main"
    route = ["unicast", f"{address}/32", "via", "10.77.0.1", "dev", "wan0", "table", table]
    host.lab.host.run(["ip", "route", "add", *route])
    try:
        with Capture(host.lab.net, "isp0") as wire, host.client(device) as near:
            near.setblocking(False)  # noqa: FBT003 - as the socket module has it
            with counting(host) as added:
                near.connect_ex((address, 80))
                opening = wire.wait_for(lambda packet: packet.flags == "S")
    finally:
        host.lab.host.run(["ip", "route", "del", *route])
    assert (opening.src, opening.dst) == (OWN, address)
    assert added["wan0", "bypass_address"] == 1
    assert hears_nothing(proxy)
