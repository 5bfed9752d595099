from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.lab import Capture
from tests.traffic import sockets, support
from tests.traffic.support import BEHIND, BOUND, UNBOUND, V4, V6, Applied, Family, Sender


@pytest.fixture(scope="module")
def host() -> Iterator[Applied]:
    """Output on ``wan0`` and forward on ``lan0``; shared by a module's tests."""
    with support.applied() as made:
        yield made


@pytest.fixture(params=[V4, V6], ids=["v4", "v6"])
def family(request: pytest.FixtureRequest) -> Family:
    found: Family = request.param
    return found


@pytest.fixture(params=[UNBOUND, BOUND, BEHIND], ids=["unbound", "bound", "behind"])
def sender(request: pytest.FixtureRequest) -> Sender:
    found: Sender = request.param
    return found


@pytest.fixture
def tcp(host: Applied, family: Family) -> Iterator[socket.socket]:
    """The proxy's TCP listener of the family."""
    with sockets.listener(host, family) as made:
        yield made


@pytest.fixture
def udp(host: Applied, family: Family) -> Iterator[socket.socket]:
    """The proxy's UDP socket of the family."""
    with sockets.listener(host, family, socket.SOCK_DGRAM) as made:
        yield made


@pytest.fixture
def wire(host: Applied) -> Iterator[Capture]:
    """The far end of ``wan0``."""
    with Capture(host.lab.net, "isp0") as made:
        yield made


@pytest.fixture(scope="module")
def far_end(host: Applied) -> Iterator[Capture]:
    """The same for a whole module: what comes late is found by the next test."""
    with Capture(host.lab.net, "isp0") as made:
        yield made


@pytest.fixture
def no_leak(host: Applied, far_end: Capture) -> Iterator[None]:
    """The test puts nothing on the far end, so whatever arrives there is a leak."""
    before = len(sockets.arrived_by_now(host, far_end))
    yield
    assert sockets.arrived_by_now(host, far_end)[before:] == []
