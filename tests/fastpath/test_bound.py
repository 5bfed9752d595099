"""Whoever is in the fast path stays in; whoever comes when it is full pays nothing for it."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.cli import main as cli
from netplan_tproxy.datapath import fastpath
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from tests.datapath import support
from tests.fastpath.support import Counted, fast, told
from tests.lab.patience import comes_true

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from netplan_tproxy.kernel.bpf.layout import MapSpec
    from netplan_tproxy.kernel.bpf.libbpf import Fd

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

ROOM = 8


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, on: str) -> Iterator[support.Applied]:
    """A host whose fast path has room for few connections; its pins have the usual names."""
    create = bpf_maps.create_map

    def create_small(spec: MapSpec) -> Fd:
        few = spec.name == fastpath.PAIRS.name
        return create(dataclasses.replace(spec, max_entries=ROOM) if few else spec)

    monkeypatch.setattr(bpf_maps, "create_map", create_small)
    with support.applied(tmp_path) as host:
        host.write(on)
        host.apply()
        yield host
        host.destroy()


def spoken(pair: support.Pair) -> support.Pair:
    """Say something both ways."""
    for sender, reader in (pair, reversed(pair)):
        sender.sendall(b"x" * 100)
        assert reader.recv(200) == b"x" * 100
    return pair


@contextlib.contextmanager
def pairs(host: support.Applied, proxy: socket.socket, count: int) -> Iterator[list[support.Pair]]:
    with contextlib.ExitStack() as stack:
        connected = []
        for _ in range(count):
            pair = host.pair(proxy)
            for end in pair:
                stack.callback(end.close)
            connected.append(pair)
        yield connected


def there_is_room_for_all(host: support.Applied, proxy: socket.socket) -> None:
    assert inside(host) == (0, 0)
    with pairs(host, proxy, ROOM) as later:
        counted = Counted(host)
        for pair in later:
            spoken(pair)
        assert counted()["messages"] == 2 * ROOM


def inside(host: support.Applied) -> tuple[int, int]:
    """How many connections and sockets take part."""
    values = told(host)
    return values["connections"], values["sockets"]


def test_whoever_is_in_stays_in_and_whoever_comes_later_is_plain(small: support.Applied) -> None:
    with support.listener(small) as proxy, pairs(small, proxy, ROOM) as first:
        for pair in first:
            spoken(pair)
        assert inside(small) == (ROOM, 2 * ROOM)
        counted = Counted(small)
        with pairs(small, proxy, 3 * ROOM) as later:
            assert counted() == {"refused_full": 3 * ROOM}
            for pair in later:
                spoken(pair)
            assert counted() == {"refused_full": 3 * ROOM}
            for pair in first:
                spoken(pair)
        assert counted() == {
            "refused_full": 3 * ROOM, "messages": 2 * ROOM, "bytes": 2 * ROOM * 100
        }  # fmt: skip
        assert inside(small) == (ROOM, 2 * ROOM)


def test_a_place_is_free_again_when_its_connection_ends(small: support.Applied) -> None:
    with support.listener(small) as proxy:
        for closer in (0, 1) * ROOM:
            with pairs(small, proxy, ROOM) as now:
                for pair in now:
                    spoken(pair)
                for pair in now:
                    pair[closer].close()
                    pair[1 - closer].close()
            assert comes_true(lambda: inside(small) == (0, 0))
        assert told(small)["refused_full"] == 0


def test_connections_whose_both_ends_left_give_their_place_away(small: support.Applied) -> None:
    with support.listener(small) as proxy, pairs(small, proxy, ROOM) as first:
        for near, far in first:
            near.shutdown(socket.SHUT_WR)
            assert far.recv(1) == b""
            far.shutdown(socket.SHUT_WR)
        there_is_room_for_all(small, proxy)


def test_connections_that_ended_while_nobody_looked_keep_no_place(
    small: support.Applied, other_cgroup: Path, on: str
) -> None:
    with support.listener(small) as proxy:
        with pairs(small, proxy, ROOM) as first:
            for pair in first:
                spoken(pair)
            small.write(fast(other_cgroup))
            small.apply()
            for pair in first:
                spoken(pair)
        small.write(on)
        small.apply()
        there_is_room_for_all(small, proxy)


def test_status_tells_of_the_bound(
    small: support.Applied, capsys: pytest.CaptureFixture[str]
) -> None:
    with support.listener(small) as proxy, pairs(small, proxy, ROOM + 1), small.lab.host.entered():
        capsys.readouterr()
        assert cli.main(["--status"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert f"  {2 * ROOM} sockets take part now, of {ROOM} connections ({ROOM} at most)" in shown
    assert "  it is full: new connections use TCP" in shown
    assert "  refused: 1 full" in shown
