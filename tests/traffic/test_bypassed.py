"""A bypassed socket with a port that an intercepted client had before: its packets are its own.

The proxy's end of the intercepted connection is in TIME_WAIT, with the very tuple.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.lab import Capture
from tests.lab.counters import counting
from tests.lab.patience import PATIENCE, comes_true
from tests.traffic import reuse, support
from tests.traffic.reuse import (
    RESETS,
    bypassed,
    connected,
    gone,
    is_reset,
    only_port,
    used_before,
)
from tests.traffic.sockets import leaks, receive
from tests.traffic.support import (
    BEHIND,
    BOUND,
    UNBOUND,
    Applied,
    Family,
    Pair,
    Sender,
    make_site,
)

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
DGRAM = socket.SOCK_DGRAM
TIMES = 4
SITE = make_site() + "bypass: {users: [nobody]}\n"


@pytest.fixture(scope="module")
def host() -> Iterator[Applied]:
    with support.applied(SITE) as made:
        yield made


@pytest.fixture
def server(host: Applied, family: Family) -> Iterator[socket.socket]:
    """The far end."""
    with host.lab.net.socket(family.number) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((family.far, 80))
        made.listen()
        yield made


@pytest.fixture(params=["mark", "user"])
def by(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(params=[UNBOUND, BOUND], ids=["unbound", "bound"])
def device(request: pytest.FixtureRequest) -> Sender:
    found: Sender = request.param
    return found


_ports = iter(range(42100, 43000))


@pytest.fixture
def pair(
    host: Applied, family: Family, tcp: socket.socket, server: socket.socket, by: str
) -> Callable[[], Pair]:
    """Makes a bypassed connection with a port that an intercepted one had just before."""

    def make() -> Pair:
        port = next(_ports)
        used_before(host, tcp, family, port)
        assert reuse.states(host.lab.host, port) == ["TIME-WAIT"]
        return connected(bypassed(host, family, by), server, host.lab.host, port)

    return make


@pytest.mark.parametrize("end", RESETS)
def test_its_reset_reaches_the_far_end(
    host: Applied, pair: Callable[[], Pair], end: Callable[[Pair], None]
) -> None:
    arrived = 0
    with counting(host) as added:
        for _ in range(TIMES):
            made = pair()
            end(made)
            made.far.settimeout(PATIENCE)
            arrived += is_reset(made.far)
            made.far.close()
    assert f"{arrived} of {TIMES}" == f"{TIMES} of {TIMES}"
    assert added["wan0", "bypass_mark"] + added["wan0", "bypass_user"] == TIMES


def test_what_it_says_from_time_wait_reaches_the_far_end(
    host: Applied, pair: Callable[[], Pair]
) -> None:
    """The far end's FIN is acknowledged when the socket itself is gone."""
    near, far = pair()
    port = near.getsockname()[1]
    near.close()
    assert far.recv(1) == b""
    assert comes_true(lambda: "FIN-WAIT-2" in reuse.states(host.lab.host, port))
    far.close()
    assert gone(host.lab.net, port, 5)


def test_an_acknowledgement_that_was_lost_is_sent_again_from_time_wait(
    host: Applied, pair: Callable[[], Pair]
) -> None:
    """So that the far end need not repeat its FIN until it gives up."""
    near, far = pair()
    port = near.getsockname()[1]
    near.close()
    assert far.recv(1) == b""
    before = host.lab.net.netstat("TCPTimeouts")
    with reuse.losing(host.lab.net, "tcp dport 80 tcp flags == ack"):
        far.close()
        assert comes_true(lambda: host.lab.net.netstat("TCPTimeouts") > before)
    assert gone(host.lab.net, port)


def test_what_it_has_sent_before_it_was_closed_is_sent_again(
    host: Applied, pair: Callable[[], Pair]
) -> None:
    near, far = pair()
    before = host.lab.host.netstat("TCPTimeouts")
    with reuse.losing(host.lab.net, "tcp dport 80"):
        near.sendall(b"last words")
        near.close()
        assert comes_true(lambda: host.lab.host.netstat("TCPTimeouts") > before)
    with far:
        assert far.recv(100) == b"last words"
        assert far.recv(1) == b""


def test_nobodys_reset_is_the_far_ends_when_the_socket_is_gone(pair: Callable[[], Pair]) -> None:
    for _ in range(TIMES):
        near, far = pair()
        reuse.vanish(near)
        far.settimeout(PATIENCE)
        far.sendall(b"anybody there?")
        assert is_reset(far)
        far.close()


def test_a_service_answers_from_a_port_that_a_client_had(
    host: Applied, family: Family, tcp: socket.socket
) -> None:
    """Peers may talk from the port they listen on: the answer has the very tuple."""
    port = next(_ports)
    used_before(host, tcp, family, port)
    with (
        host.lab.host.socket(family.number) as service,
        host.lab.net.socket(family.number) as caller,
    ):
        for end, address in ((service, (family.host, port)), (caller, (family.far, 80))):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            end.bind(address)
        service.listen()
        caller.settimeout(PATIENCE)
        caller.connect((family.host, port))
        accepted, _ = service.accept()
        caller.settimeout(PATIENCE)
        accepted.close()
        assert caller.recv(1) == b""
        assert comes_true(lambda: "FIN-WAIT-2" in reuse.states(host.lab.host, port))
    assert gone(host.lab.net, port, 5)  # what is in TIME_WAIT has acknowledged its FIN


def test_a_service_with_the_port_of_an_intercepted_client_is_not_asked_for_it(
    host: Applied, family: Family, tcp: socket.socket, device: Sender
) -> None:
    """It resets what it knows nothing of, in its own name."""
    port = next(_ports)
    with (
        host.lab.host.socket(family.number) as service,
        Capture(host.lab.net, "isp0") as wire,
    ):
        near = host.client(device, family)
        for end in (service, near):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            end.bind((family.host, port))
        service.listen()
        near.connect((family.far, 80))
        far, _ = tcp.accept()
        with far:
            far.settimeout(PATIENCE)
            reuse.vanish(near)
            far.sendall(b"anybody there?")
            assert is_reset(far)
        assert leaks(wire) == []


@pytest.mark.parametrize("how", [*RESETS, reuse.vanish_near, reuse.close_near])
def test_the_next_intercepted_client_with_the_port_leaks_nothing(  # noqa: PLR0917
    host: Applied,
    family: Family,
    tcp: socket.socket,
    by: str,
    device: Sender,
    how: Callable[[Pair], None],
) -> None:
    """What was noted of the bypassed socket ends where somebody else begins."""
    port = next(_ports)
    used_before(host, tcp, family, port, device)
    with bypassed(host, family, by, device) as refused, only_port(host.lab.host, port):
        with pytest.raises(ConnectionRefusedError):  # the far end has no server here
            refused.connect((family.far, 80))
    with Capture(host.lab.net, "isp0") as wire:
        near = host.client(device, family)
        with only_port(host.lab.host, port):
            near.connect((family.far, 80))
        far, _ = tcp.accept()
        far.settimeout(PATIENCE)
        far.sendall(b"hello")
        assert near.recv(5) == b"hello"
        how(Pair(near, far))
        with far, contextlib.suppress(ConnectionError):
            far.sendall(b"too late")
            far.recv(1)
            far.sendall(b"too late")
        assert leaks(wire) == []


def test_a_forwarded_connection_that_is_bypassed_by_now_goes_its_own_way(
    host: Applied, family: Family, tcp: socket.socket, server: socket.socket
) -> None:
    """The policy changes while the proxy is in TIME_WAIT."""
    port = next(_ports)
    used_before(host, tcp, family, port, BEHIND)
    host.apply(make_site() + f'bypass: {{to: ["{family.far}"]}}\n')
    try:
        for end in RESETS:
            made = connected(host.client(BEHIND, family), server, host.lan, port)
            end(made)
            assert is_reset(made.far)
            made.far.close()
        near, far = connected(host.client(BEHIND, family), server, host.lan, port)
        near.close()
        assert far.recv(1) == b""
        assert comes_true(lambda: "FIN-WAIT-2" in reuse.states(host.lan, port))
        far.close()
        assert gone(host.lab.net, port, 5)
    finally:
        host.apply(SITE)


def test_a_bypassed_datagram_socket_is_not_judged_by_the_one_before_it(
    host: Applied, family: Family, udp: socket.socket, by: str
) -> None:
    port = next(_ports)
    with host.lab.net.socket(family.number, DGRAM) as server:
        server.bind((family.far, 53))
        for _ in range(TIMES):
            with host.client(UNBOUND, family, DGRAM) as taken:
                taken.bind(("", port))
                taken.sendto(b"taken", (family.far, 53))
                assert receive(udp).data == b"taken"
            with bypassed(host, family, by, kind=DGRAM) as own:
                own.bind(("", port))
                own.sendto(b"its own", (family.far, 53))
                assert server.recvfrom(100)[0] == b"its own"
