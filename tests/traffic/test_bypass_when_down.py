"""Nobody listens, and ``when_down`` is ``bypass``: traffic goes out directly."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from tests.lab import EchoServer
from tests.lab.counters import counting
from tests.traffic import support
from tests.traffic.reuse import disconnect
from tests.traffic.sockets import answer, listener, receive
from tests.traffic.support import BOUND, UNBOUND, Applied, Family, Sender, make_site

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
DGRAM = socket.SOCK_DGRAM


@pytest.fixture(scope="module")
def host() -> Iterator[Applied]:
    with support.applied(make_site(when_down="bypass")) as made:
        yield made


def test_a_connection_goes_out_directly_and_stays_there(
    host: Applied, family: Family, sender: Sender
) -> None:
    with EchoServer(host.lab.net, family.far), host.client(sender, family) as near:
        with counting(host) as added:
            near.connect((family.far, 7))
            near.sendall(b"direct")
            assert near.recv(10) == b"direct"
        assert added[sender.interface, "down_bypassed"] == 1
        assert added[sender.interface, "intercepted"] == 0
        with listener(host, family) as proxy:
            near.sendall(b"still direct")
            assert near.recv(20) == b"still direct"
            pair = host.pair(proxy, sender, family)
            near.sendall(b"still direct")
            assert near.recv(20) == b"still direct"
            pair.near.close()
            pair.far.close()


def test_a_datagram_goes_out_directly_and_its_flow_stays_there(
    host: Applied, family: Family, sender: Sender
) -> None:
    where = (family.far, 53)
    with (
        host.lab.net.socket(family.number, DGRAM) as server,
        host.client(sender, family, DGRAM) as near,
        host.client(sender, family, DGRAM) as later,
    ):
        server.bind(where)

        def asks(end: socket.socket) -> None:
            end.sendto(b"question", where)
            data, source = server.recvfrom(100)
            server.sendto(data, source)
            assert end.recv(100) == b"question"

        asks(near)
        with listener(host, family, DGRAM) as proxy:
            asks(near)
            later.sendto(b"taken", where)
            came = receive(proxy)
            assert came.data == b"taken"
            answer(host, came, b"answer")
            assert later.recv(100) == b"answer"


def test_what_the_proxy_had_is_not_let_out_when_it_goes(
    host: Applied, family: Family, sender: Sender
) -> None:
    """Half a conversation would make no sense to the far end."""
    where = (family.far, 53)
    with host.client(sender, family, DGRAM) as flow:
        flow.connect(where)
        with listener(host, family, DGRAM) as proxy:
            flow.send(b"first")
            assert receive(proxy).data == b"first"
        with host.lab.net.socket(family.number, DGRAM) as server:
            server.bind(where)
            flow.send(b"second")
            with pytest.raises(ConnectionRefusedError):
                flow.recv(1)
            server.settimeout(0.05)
            with pytest.raises(TimeoutError):
                server.recv(100)


@pytest.mark.parametrize("sender", [UNBOUND, BOUND], ids=["unbound", "bound"])
def test_a_socket_that_connects_again_is_decided_anew(
    host: Applied, family: Family, sender: Sender
) -> None:
    """To the same place too: its connection is another."""
    with EchoServer(host.lab.net, family.far, 80), host.client(sender, family) as near:
        for proxy_listens in (False, True, False):
            with counting(host) as added, contextlib.ExitStack() as stack:
                if proxy_listens:
                    proxy = stack.enter_context(listener(host, family))
                near.connect((family.far, 80))
                if proxy_listens:
                    stack.enter_context(proxy.accept()[0])
                disconnect(near)
            assert added[sender.interface, "new"] == int(proxy_listens)
            assert added[sender.interface, "down_bypassed"] == int(not proxy_listens)
