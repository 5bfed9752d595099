"""Several sockets of the proxy on one port share the load."""

from __future__ import annotations

import select
import socket
from contextlib import ExitStack

import pytest

from tests.lab.counters import counting
from tests.lab.needed import need_shared_ports
from tests.traffic.sockets import listener
from tests.traffic.support import Applied, Family, Sender

pytestmark = [pytest.mark.lab, pytest.mark.bpf, pytest.mark.usefixtures("no_leak")]
MANY = 200


@pytest.fixture(autouse=True)
def _possible() -> None:
    need_shared_ports()


def test_connections_are_spread_over_the_listeners(
    host: Applied, family: Family, sender: Sender
) -> None:
    with ExitStack() as stack, counting(host) as added:
        proxies = [stack.enter_context(listener(host, family, shared=True)) for _ in range(3)]
        clients = {}
        for _ in range(MANY):
            near = stack.enter_context(host.client(sender, family))
            near.connect((family.far, 80))
            clients[near.getsockname()] = near
        accepted = [accept_all(proxy, stack) for proxy in proxies]
        assert sum(map(len, accepted)) == MANY
        assert all(len(each) > MANY // 10 for each in accepted)
        for far in (end for each in accepted for end in each):
            far.sendall(b"x")
            assert clients[far.getpeername()].recv(1) == b"x"
    assert added[sender.interface, "new"] == MANY


def accept_all(proxy: socket.socket, stack: ExitStack) -> list[socket.socket]:
    found = []
    while select.select([proxy], [], [], 0)[0]:
        found.append(stack.enter_context(proxy.accept()[0]))
    return found


def test_datagrams_are_spread_and_each_flow_stays_where_it_is(
    host: Applied, family: Family, sender: Sender
) -> None:
    kind = socket.SOCK_DGRAM
    with ExitStack() as stack:
        proxies = [stack.enter_context(listener(host, family, kind, shared=True)) for _ in range(3)]
        sources = []
        for number in range(MANY):
            near = stack.enter_context(host.client(sender, family, kind))
            near.connect((family.far, 53))
            for _ in range(2):
                near.send(number.to_bytes(2, "big"))
        for proxy in proxies:
            came = []
            while select.select([proxy], [], [], 0)[0]:
                came.append(proxy.recv(10))
            sources.append(came)
        assert sum(map(len, sources)) == 2 * MANY
        assert all(len(each) > MANY // 10 for each in sources)
        assert all(each.count(data) == 2 for each in sources for data in each)
