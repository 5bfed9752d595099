"""Two sockets with the same ends, of which one is bound to a device: Linux lets that come to pass.

A socket that is bound to no device, and looks for a port, does not mind those that are bound to one
(``inet_match`` in ``__inet_check_established``), and each may get what is meant for the other. So
it is whether connections are intercepted or not: nothing of ours is in it, and nothing of ours can
tell the two apart.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
from collections.abc import Iterator

import pytest

from netplan_tproxy.kernel.sockets.options import NOTHING, attach_filter
from tests.lab import EchoServer, Lab
from tests.lab.patience import PATIENCE
from tests.traffic.sockets import listener
from tests.traffic.support import (
    BOUND,
    UNBOUND,
    V4,
    V6,
    Applied,
    Family,
    Sender,
    introduce,
    make_site,
)

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
_FIRST, _TRIES = 40_000, 200


@pytest.fixture(params=["intercepted", "direct"])
def host(request: pytest.FixtureRequest) -> Iterator[Applied]:
    with Lab(lan=True, ipv6=True) as lab, contextlib.ExitStack() as held:
        introduce(lab)
        made = Applied(lab)
        for family in (V4, V6):
            if request.param == "direct":
                held.enter_context(EchoServer(lab.net, family.far, 80))
            else:
                held.enter_context(listener(made, family))
        if request.param == "intercepted":
            made.apply(make_site())
        yield made


def leave_one_port(host: Applied, number: int) -> None:
    """To be given to whoever connects next."""
    port = _FIRST + number
    host.lab.host.sysctl("net.ipv4.ip_local_port_range", f"{port} {port}")


def begun(host: Applied, sender: Sender, family: Family, *, deaf: bool = False) -> socket.socket:
    """Connecting, as far as that goes without a wait."""
    client = host.client(sender, family)
    client.settimeout(0)
    if deaf:
        attach_filter(client, NOTHING)
    client.connect_ex((family.far, 80))
    return client


def test_one_that_is_bound_to_a_device_hears_no_more(host: Applied, family: Family) -> None:
    leave_one_port(host, 0)
    with begun(host, BOUND, family) as bound:
        assert select.select([], [bound], [], PATIENCE)[1]
        with begun(host, UNBOUND, family) as other:
            assert bound.getsockname()[:2] == other.getsockname()[:2]
            bound.send(b"question")
            assert select.select([bound], [], [], 0.3)[0] == []


def test_one_that_is_bound_to_none_is_refused(host: Applied, family: Family) -> None:
    """Its SYN meets the other's, half open, and is within its window for some milliseconds."""
    outcomes = set()
    for number in range(_TRIES):
        leave_one_port(host, number)
        with begun(host, BOUND, family, deaf=True), begun(host, UNBOUND, family) as other:
            outcomes.add(other.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        if errno.ECONNREFUSED in outcomes:
            return
    raise AssertionError(outcomes)
