"""The proxy's listener keeps no state of a connection until its handshake is over (tcp(7))."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.traffic.reuse import disconnect
from tests.traffic.sockets import exchange
from tests.traffic.support import Applied, Family, Sender

pytestmark = [pytest.mark.lab, pytest.mark.bpf, pytest.mark.usefixtures("no_leak", "cookies")]


_ports = iter(range(42500, 42600))


@pytest.fixture(params=["always", "never"])
def cookies(host: Applied, request: pytest.FixtureRequest) -> Iterator[None]:
    usual = host.lab.host.sysctl("net.ipv4.tcp_syncookies")
    host.lab.host.sysctl("net.ipv4.tcp_syncookies", 2 if request.param == "always" else 0)
    yield
    host.lab.host.sysctl("net.ipv4.tcp_syncookies", usual)


def test_a_connection_is_intercepted(
    host: Applied, family: Family, sender: Sender, tcp: socket.socket
) -> None:
    near, far = host.pair(tcp, sender, family)
    with near, far:
        exchange(near, far, 1 << 18)


@pytest.mark.parametrize("bound", [False, True], ids=["any port", "the same port"])
def test_a_socket_may_connect_again(
    host: Applied, family: Family, sender: Sender, tcp: socket.socket, *, bound: bool
) -> None:
    """To where it was connected before: what it knows of that connection is over."""
    with host.client(sender, family) as near:
        if bound:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            near.bind(("", next(_ports)))
        near.settimeout(2)
        for number in range(4):
            near.connect((family.far, 80))
            far, _ = tcp.accept()
            with far:
                far.settimeout(2)
                for one, two in ((near, far), (far, near)):
                    one.sendall(bytes([number]))
                    assert two.recv(10) == bytes([number])
                disconnect(near)
                with pytest.raises(ConnectionResetError):
                    far.recv(1)
