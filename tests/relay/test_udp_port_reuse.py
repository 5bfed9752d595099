"""Local ports come round: a verdict must not outlive the socket that it was taken for."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.relay import support
from tests.relay.support import FAR, OURS, UdpServer

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
BYPASS = 2

families = pytest.mark.parametrize("family", [4, 6], ids=["v4", "v6"])


@pytest.fixture(scope="module")
def stage() -> Iterator[support.Stage]:
    with support.staged() as made:
        yield made


def exchange(stage: support.Stage, where: tuple[str, int], port: int, mark: int) -> None:
    """Ask from that port with that mark, and close."""
    with stage.client("unbound", where[0]) as near:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        near.bind(("", port))
        assert support.asked(near, b"?", where) == b"?"


@families
def test_a_client_that_gets_a_bypassed_sockets_port_does_not_leak(
    stage: support.Stage, family: int
) -> None:
    where = (FAR[family], 53)
    with UdpServer(stage.lab.net, *where) as server:
        exchange(stage, where, 5353, BYPASS)
        exchange(stage, where, 5353, 0)
        direct, relayed = server.peers
    assert direct == (OURS[family], 5353)
    assert relayed[1] != 5353


@families
def test_a_bypassed_socket_that_gets_a_clients_port_is_not_intercepted(
    stage: support.Stage, family: int
) -> None:
    where = (FAR[family], 53)
    with UdpServer(stage.lab.net, *where) as server:
        exchange(stage, where, 5354, 0)
        exchange(stage, where, 5354, BYPASS)
        relayed, direct = server.peers
    assert relayed[1] != 5354
    assert direct == (OURS[family], 5354)
