"""Nobody listens, and ``when_down`` is ``drop``: clients hear so at once, and nothing leaks."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.lab.counters import counting
from tests.lab.patience import PATIENCE
from tests.lab.streams import CLOSE, wait_for
from tests.traffic.offloads import set_offloads
from tests.traffic.sockets import answer, listener, receive
from tests.traffic.support import BEHIND, PORT, V6, Applied, Family, Sender

pytestmark = [pytest.mark.lab, pytest.mark.bpf, pytest.mark.usefixtures("no_leak")]
STREAM, DGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
PADDING = bytes([0, 0, 1, 4, 0, 0, 0, 0])  # eight bytes: the kernel fills in the next header

_SILENT = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
made = socket.socket(family)
made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if family == socket.AF_INET6:
    made.setsockopt(41, 75, 1)
else:
    made.setsockopt(0, 19, 1)
made.bind((sys.argv[1], int(sys.argv[2])))
made.listen()
print("ready", flush=True)
ends = []
while True:
    ends.append(made.accept())
    print("accepted", flush=True)
"""


def test_a_connection_is_refused(host: Applied, family: Family, sender: Sender) -> None:
    with counting(host) as added:
        for _ in range(3):
            with host.client(sender, family) as near:
                near.settimeout(PATIENCE)
                with pytest.raises(ConnectionRefusedError):
                    near.connect((family.far, 80))
    assert added == {(sender.interface, "refused"): 3}


def test_a_datagram_is_refused(host: Applied, family: Family, sender: Sender) -> None:
    with host.client(sender, family, DGRAM) as near, counting(host) as added:
        near.connect((family.far, 53))
        near.settimeout(PATIENCE)
        for size in (0, 1, 7, 8, 9, 100, 1400):
            near.send(bytes(size))
            with pytest.raises(ConnectionRefusedError):
                near.recv(1)
    assert added == {(sender.interface, "refused"): 7}


@pytest.fixture(params=["both", "client", "router", "neither"])
def fills_in_checksums(host: Applied, request: pytest.FixtureRequest) -> Iterator[None]:
    """The device of the client, that of this host, or the stack for them.

    Where the client's does, a veth hands its packets over without any.
    """
    places = {"client": (host.lan, "eth0"), "router": (host.lab.host, "lan0")}
    for name, place in places.items():
        on = request.param in {"both", name}
        set_offloads(*place, on=on)
    yield
    for place in places.values():
        set_offloads(*place, on=True)


@pytest.mark.usefixtures("fills_in_checksums")
@pytest.mark.parametrize("kind", [STREAM, DGRAM], ids=["tcp", "udp"])
@pytest.mark.parametrize("options", ["plain", "with options"])
def test_a_client_behind_is_refused_whoever_fills_in_checksums(
    host: Applied, family: Family, kind: socket.SocketKind, options: str
) -> None:
    with host.client(BEHIND, family, kind) as near, counting(host) as added:
        if options != "plain" and family == V6:
            near.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, PADDING)
            near.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, PADDING)
        elif options != "plain":
            near.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([1, 1, 1, 0]))
        near.settimeout(0.5)
        if kind == STREAM:
            with pytest.raises(ConnectionRefusedError):
                near.connect((family.far, 80))
        else:
            near.connect((family.far, 53))
            near.send(b"question")
            with pytest.raises(ConnectionRefusedError):
                near.recv(1)
    assert added == {("lan0", "refused"): 1}


def test_segmentation_offload_is_refused_too(host: Applied, family: Family, sender: Sender) -> None:
    with host.client(sender, family, DGRAM) as near:
        near.setsockopt(socket.IPPROTO_UDP, 103, 1000)
        near.connect((family.far, 53))
        near.settimeout(PATIENCE)
        near.send(bytes(9000))
        with pytest.raises(ConnectionRefusedError):
            near.recv(1)


def test_datagrams_in_fragments_go_nowhere(host: Applied, family: Family, sender: Sender) -> None:
    with host.client(sender, family, DGRAM) as near, counting(host) as added:
        near.sendto(bytes(4000), (family.far, 53))
    assert {outcome for _, outcome in added} == {"fragment_dropped"}


@pytest.mark.parametrize("kind", [STREAM, DGRAM], ids=["tcp", "udp"])
def test_a_proxy_that_comes_back_serves_the_next_packet(
    host: Applied, family: Family, sender: Sender, kind: socket.SocketKind
) -> None:
    """Nobody applies anything between, and a UDP flow that was refused is no exception."""
    with host.client(sender, family, DGRAM) as flow:
        flow.connect((family.far, 53))
        for _ in range(2):
            with host.client(sender, family) as near, pytest.raises(ConnectionRefusedError):
                near.connect((family.far, 80))
            flow.send(b"anybody?")
            with pytest.raises(ConnectionRefusedError):
                flow.recv(1)
            with listener(host, family, kind) as proxy:
                if kind == STREAM:
                    pair = host.pair(proxy, sender, family)
                    pair.far.close()
                    pair.near.close()
                else:
                    flow.send(b"hello")
                    came = receive(proxy)
                    answer(host, came, came.data)
                    assert flow.recv(100) == b"hello"


def test_an_accepted_connection_outlives_the_listener(
    host: Applied, family: Family, sender: Sender
) -> None:
    """A proxy that ends in good order stops listening and serves what it has."""
    with listener(host, family) as proxy:
        near, far = host.pair(proxy, sender, family)
    with near, far:
        near.sendall(b"first words")
        assert far.recv(100) == b"first words"
        far.sendall(b"answer")
        assert near.recv(100) == b"answer"


@pytest.mark.parametrize("client", ["unread", "idle"])
def test_connections_of_a_killed_proxy_are_reset(
    host: Applied, family: Family, sender: Sender, client: str
) -> None:
    program = [sys.executable, "-c", _SILENT, family.loopback, str(PORT)]
    child = host.lab.host.popen(program, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        near = host.client(sender, family)
        near.connect((family.far, 80))
        assert child.stdout.readline() == "accepted\n"
        if client == "unread":
            near.sendall(b"never read")
    finally:
        child.kill()
        child.communicate(timeout=PATIENCE)
    with near:
        if client == "idle":
            assert near.recv(1) == b""
            near.sendall(b"anybody?")
        wait_for(CLOSE, near)
        with pytest.raises(ConnectionError):
            near.sendall(b"?")
