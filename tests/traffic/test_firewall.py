"""What interception does to a firewall of this host's."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.traffic.sockets import exchange
from tests.traffic.support import BEHIND, Applied, Family

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

CLOSED = """\
table inet filter {
    chain forward {
        type filter hook forward priority filter; policy drop;
    }
}
"""


@pytest.fixture
def closed(host: Applied) -> Iterator[None]:
    """Nothing is forwarded, says the firewall."""
    namespace = host.namespace("host")
    namespace.run(["nft", "-f", "-"], stdin=CLOSED)
    yield
    namespace.run(["nft", "delete", "table", "inet", "filter"])


@pytest.mark.usefixtures("closed")
def test_what_is_intercepted_does_not_pass_the_forward_chain(
    host: Applied, family: Family, tcp: socket.socket
) -> None:
    near, far = host.pair(tcp, BEHIND, family)
    with near, far:
        exchange(near, far, 1 << 16)
