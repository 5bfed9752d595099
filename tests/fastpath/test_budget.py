"""A reader that does not read: what the kernel holds is bounded, and every byte arrives."""

from __future__ import annotations

import hashlib
import random
import socket
import struct
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.datapath import fastpath
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.sockets.diag import sockets
from tests.datapath import support
from tests.fastpath.support import BUDGET, Counted, counters, fast, receive
from tests.lab.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

MESSAGE = 32 * 1024
_SO_COOKIE = 57


def cookie(end: socket.socket) -> int:
    return int(struct.unpack("=Q", end.getsockopt(socket.SOL_SOCKET, _SO_COOKIE, 8))[0])


def waiting_for(on: support.Applied, end: socket.socket) -> int:
    """What the kernel holds for a socket's reader, in bytes with their overhead."""
    wanted = cookie(end)
    with on.lab.host.entered():
        found = sockets("tcp", socket.AF_INET, *range(1, 12))
        return next(one.waiting for one in found if one.cookie == wanted)


def push(end: socket.socket, seconds: float = 1.0, size: int = MESSAGE) -> int:
    """Send until nothing more is taken for a while; give how much was."""
    end.settimeout(0)
    sent, last = 0, time.monotonic()
    while time.monotonic() < last + seconds and sent < 1 << 28:
        try:
            sent += end.send(pattern(sent, size))
            last = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)
    end.settimeout(PATIENCE)
    return sent


def pattern(at: int, size: int) -> bytes:
    """Bytes that differ everywhere, by their place."""
    first, last = at // 8, (at + size) // 8 + 1
    whole = b"".join(struct.pack("=Q", number) for number in range(first, last))
    return whole[at % 8 : at % 8 + size]


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[support.Applied]:
    """The same without the fast path."""
    with support.applied(tmp_path) as made:
        yield made
        made.destroy()


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("size", [100, MESSAGE])
def test_a_stalled_reader_costs_no_more_than_tcp_and_the_budget(
    host: support.Applied, proxy: socket.socket, plain: support.Applied, side: int, size: int
) -> None:
    with support.listener(plain) as listener:
        pair = plain.pair(listener)
        with pair.near, pair.far:
            usual = push(pair[side], size=size)
            usual_waiting = waiting_for(plain, pair[1 - side])
    counted = Counted(host)
    pair = host.pair(proxy)
    with pair.near, pair.far:
        sent = push(pair[side], size=size)
        found = counted()
        assert found["demoted_budget"] == 1
        assert found["bytes"] <= BUDGET
        assert waiting_for(host, pair[1 - side]) <= usual_waiting + 2 * BUDGET + size
        # Plain TCP is not the same twice: its buffers grow by themselves.
        assert sent <= 2 * usual + BUDGET + size
        assert receive(pair[1 - side], sent) == pattern(0, sent)


def test_a_direction_that_was_demoted_never_comes_back_and_the_other_one_stays(
    host: support.Applied, proxy: socket.socket
) -> None:
    pair = host.pair(proxy)
    with pair.near, pair.far:
        pair.far.sendall(b"!")
        assert pair.near.recv(1) == b"!"
        sent = push(pair.near, seconds=0.2)
        assert receive(pair.far, sent) == pattern(0, sent)
        counted = Counted(host)
        talk(pair)
        assert counted() == {"messages": 50, "bytes": 50}
        assert cookie(pair.near) in enrolled(host)


def talk(pair: support.Pair) -> None:
    for _ in range(50):
        pair.near.sendall(b"?")
        assert pair.far.recv(1) == b"?"
        pair.far.sendall(b"!")
        assert pair.near.recv(1) == b"!"


def enrolled(host: support.Applied) -> set[int]:
    """The cookies of the sockets in the map."""
    with bpf_maps.open_pinned(str(host.pins / "maps" / fastpath.SOCKS.pin)) as fd:
        values = [bpf_maps.lookup(fd, key, 8) for key in bpf_maps.keys(fd, 8)]
    return {int.from_bytes(value, sys.byteorder) for value in values if value}


@pytest.mark.parametrize("side", [0, 1])
def test_a_sender_of_bulk_leaves_where_nothing_was_redirected_to_it(
    host: support.Applied, proxy: socket.socket, side: int
) -> None:
    """It pays for every message there, and no direction is left that could gain."""
    counted = Counted(host)
    pair = host.pair(proxy)
    with pair.near, pair.far:
        sent = push(pair[side], seconds=0.2)
        assert receive(pair[1 - side], sent) == pattern(0, sent)
        assert counted()["left_demoted"] == 1
        assert cookie(pair[side]) not in enrolled(host)
        assert cookie(pair[1 - side]) in enrolled(host)
        before = counted()
        talk(pair)
        assert counted() == before
        sent = push(pair[1 - side], seconds=0.2)
        assert receive(pair[side], sent) == pattern(0, sent)


def test_a_reader_that_answers_keeps_the_fast_path_for_any_length(
    host: support.Applied, proxy: socket.socket
) -> None:
    counted = Counted(host)
    pair = host.pair(proxy)
    with pair.near, pair.far:
        for _ in range(100):
            pair.near.sendall(b"x" * MESSAGE)
            assert receive(pair.far, MESSAGE) == b"x" * MESSAGE
            pair.far.sendall(b"ok")
            assert pair.near.recv(2) == b"ok"
    found = counted()
    assert found["bytes"] == 100 * (MESSAGE + 2)
    assert "demoted_budget" not in found


def digested(end: socket.socket, size: int, into: list[bytes]) -> None:
    time.sleep(size % 20 / 1000)
    into.append(hashlib.sha256(receive(end, size)).digest())


def test_bytes_keep_their_order_while_a_direction_is_demoted(
    host: support.Applied, proxy: socket.socket
) -> None:
    chance = random.Random(5)  # noqa: S311
    for _ in range(20):
        pair = host.pair(proxy)
        total = chance.randrange(BUDGET, 6 * BUDGET)
        text = chance.randbytes(total)
        digest: list[bytes] = []

        def read(
            end: socket.socket = pair.far, size: int = total, into: list[bytes] = digest
        ) -> None:
            time.sleep(chance.random() / 50)
            into.append(hashlib.sha256(receive(end, size)).digest())

        with pair.near, pair.far:
            reader = threading.Thread(target=digested, args=(pair.far, total, digest))
            reader.start()
            at = 0
            while at < total:
                at += pair.near.send(text[at : at + chance.choice([1, 100, 5000, 70_000])])
            reader.join(PATIENCE)
        assert digest == [hashlib.sha256(text).digest()]


def test_a_smaller_budget_holds_at_once_without_another_program(
    host: support.Applied, proxy: socket.socket, cgroup: Path
) -> None:
    programs = sorted(path.name for path in (host.pins / "programs").iterdir())
    host.write(fast(cgroup, ", budget: 8KiB"))
    host.apply()
    try:
        assert sorted(path.name for path in (host.pins / "programs").iterdir()) == programs
        counted = Counted(host)
        pair = host.pair(proxy)
        with pair.near, pair.far:
            sent = push(pair.near, seconds=0.2, size=1000)
            assert 0 < counted()["bytes"] <= 8192
            assert receive(pair.far, sent) == pattern(0, sent)
    finally:
        host.write(fast(cgroup))
        host.apply()
    assert counters(host)["demoted_budget"] > 0
