"""What this host sends is given another source (masquerade, snat) before our program sees it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.lab import Capture
from tests.lab.patience import PATIENCE
from tests.traffic import support
from tests.traffic.sockets import answer, arrived_by_now, exchange, listener, receive
from tests.traffic.support import BOUND, UNBOUND, Applied, Family, Sender

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
DGRAM = socket.SOCK_DGRAM
OTHER = {4: "10.77.9.9", 6: "fd77:9::9"}  # addresses of lo
MASQUERADE = ("masquerade", "masquerade random", "masquerade fully-random")
SNAT = "snat ip to 10.77.0.9; oifname wan0 snat ip6 to fd77::99"


class Client(NamedTuple):
    """Which device it is bound to, and whether to an address of another one."""

    sender: Sender
    elsewhere: bool


@pytest.fixture(scope="module")
def applied() -> Iterator[Applied]:
    with support.applied() as made:
        for address in OTHER.values():
            made.lab.host.run(["ip", "addr", "add", address, "dev", "lo"])
        yield made


@pytest.fixture(params=[*MASQUERADE, SNAT], ids=["plain", "random", "fully-random", "snat"])
def host(applied: Applied, request: pytest.FixtureRequest) -> Iterator[Applied]:
    first = "type nat hook postrouting priority srcnat"
    rules = "\n".join(f"oifname wan0 {request.param}".split("; "))
    table = f"table inet others {{\nchain last {{\n{first}\n{rules}\n}}\n}}\n"
    applied.lab.host.run(["nft", "-f", "-"], stdin=table)
    yield applied
    applied.lab.host.run(["nft", "flush", "ruleset"])


@pytest.fixture(
    params=[Client(UNBOUND, elsewhere=False), Client(BOUND, elsewhere=False),
            Client(UNBOUND, elsewhere=True)],
    ids=["unbound", "bound", "elsewhere"],
)  # fmt: skip
def client(request: pytest.FixtureRequest) -> Client:
    found: Client = request.param
    return found


def made(host: Applied, client: Client, family: Family, kind: socket.SocketKind) -> socket.socket:
    near = host.client(client.sender, family, kind)
    near.settimeout(PATIENCE)
    if client.elsewhere:
        near.bind((OTHER[6 if family.number == socket.AF_INET6 else 4], 0))
    return near


def test_a_connection_is_taken_and_nothing_of_it_leaks(
    host: Applied, client: Client, family: Family
) -> None:
    with (
        Capture(host.lab.net, "isp0") as wire,
        listener(host, family) as proxy,
        made(host, client, family, socket.SOCK_STREAM) as near,
    ):
        near.connect((family.far, 80))
        far, _ = proxy.accept()
        with far:
            far.settimeout(PATIENCE)
            assert far.getsockname() == near.getpeername()
            exchange(near, far, 1 << 20)
        near.close()
        assert arrived_by_now(host, wire) == []


def test_a_reset_reaches_the_proxy(host: Applied, client: Client, family: Family) -> None:
    """The kernel takes the socket's port away before it sends it."""
    with (
        listener(host, family) as proxy,
        made(host, client, family, socket.SOCK_STREAM) as near,
    ):
        near.connect((family.far, 80))
        far, _ = proxy.accept()
        with far:
            far.settimeout(PATIENCE)
            near.sendall(b"last words")
            assert far.recv(10) == b"last words"
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            near.close()
            with pytest.raises(ConnectionResetError):
                far.recv(1)


def test_a_datagram_is_taken_and_answered(host: Applied, client: Client, family: Family) -> None:
    with listener(host, family, DGRAM) as proxy, made(host, client, family, DGRAM) as near:
        near.connect((family.far, 53))
        for number in range(3):
            near.send(b"question %d" % number)
            question = receive(proxy)
            assert (question.data, question.target) == (b"question %d" % number, (family.far, 53))
            answer(host, question, b"answer %d" % number)
            assert near.recv(100) == b"answer %d" % number


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, DGRAM], ids=["tcp", "udp"])
def test_without_a_listener_it_is_refused(
    host: Applied, client: Client, family: Family, kind: socket.SocketKind
) -> None:
    with made(host, client, family, kind) as near, pytest.raises(ConnectionRefusedError):
        asked(near, (family.far, 80))


def asked(near: socket.socket, where: tuple[str, int]) -> bytes:
    near.connect(where)
    near.send(b"question")
    return near.recv(100)
