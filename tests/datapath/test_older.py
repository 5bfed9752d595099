from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.datapath import support
from tests.datapath.support import FAR, Applied
from tests.lab import EchoServer, Lab
from tests.lab.counters import counting
from tests.lab.patience import PATIENCE
from tests.lab.streams import hears_nothing, read_exactly

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
ECHO = (FAR, 7)
both = pytest.mark.parametrize("device", ["", "wan0"], ids=["unbound", "bound"])


@pytest.fixture
def bare(lab: Lab, tmp_path: Path) -> Applied:
    """Nothing is applied yet."""
    return Applied(lab, tmp_path)


@pytest.fixture
def far_end(bare: Applied) -> Iterator[EchoServer]:
    with EchoServer(bare.lab.net) as server:
        yield server


def answers(end: socket.socket) -> bool:
    end.sendall(b"anybody?")
    return read_exactly(end, 8) == b"anybody?"


@both
def test_connections_older_than_the_apply_go_on_and_newer_ones_do_not(
    bare: Applied, far_end: EchoServer, device: str
) -> None:
    with bare.connect(device, ECHO) as older, support.listener(bare) as proxy:
        assert answers(older)
        bare.apply()
        with counting(bare) as added:
            assert answers(older)
        assert added["wan0", "untracked"] > 0
        assert not {"intercepted", "new"} & {outcome for _, outcome in added}

        with bare.connect(device, ECHO) as newer:
            accepted, peer = proxy.accept()
            with accepted:
                assert peer == newer.getsockname()
                newer.sendall(b"x")
                assert accepted.recv(1) == b"x"
        assert answers(older)
        older.shutdown(socket.SHUT_WR)
        assert older.recv(1) == b""
        assert far_end.peers == [older.getsockname()]


@both
def test_they_go_on_when_it_is_destroyed_and_applied_again(
    bare: Applied, far_end: EchoServer, device: str
) -> None:
    with bare.connect(device, ECHO) as oldest:
        bare.apply()
        bare.destroy()
        assert answers(oldest)
        with bare.connect(device, ECHO) as between, support.listener(bare) as proxy:
            bare.apply()
            assert answers(oldest)
            assert answers(between)
            assert hears_nothing(proxy)
            assert far_end.peers == [oldest.getsockname(), between.getsockname()]
            near, far = bare.pair(proxy, device)
            near.close()
            far.close()


def test_a_connection_opened_while_it_was_let_through_stays_direct_without_its_mark(
    bare: Applied, far_end: EchoServer
) -> None:
    bare.apply()
    with support.listener(bare) as proxy, bare.connect("", ECHO, mark=2) as near:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 0)
        assert answers(near)
        assert hears_nothing(proxy)
    assert len(far_end.peers) == 1


def test_an_older_inbound_connection_goes_on(bare: Applied) -> None:
    with EchoServer(bare.lab.host, "10.77.0.2"), bare.lab.net.socket() as older:
        older.connect(("10.77.0.2", 7))
        assert answers(older)
        bare.apply()
        assert answers(older)


@both
def test_an_older_connection_may_end_in_any_order(bare: Applied, device: str) -> None:
    with bare.lab.net.socket() as server:
        server.bind((FAR, 4000))
        server.listen(4)
        pairs = []
        for _ in range(2):
            near = bare.connect(device, (FAR, 4000))
            far, _ = server.accept()
            far.settimeout(PATIENCE)
            pairs.append((near, far))
        bare.apply()
        for first, second in (pairs[0], pairs[1][::-1]):
            first.close()
            assert second.recv(1) == b""
            second.close()
        with counting(bare) as added:
            pass
        assert not added
