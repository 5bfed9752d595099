"""The fast path is switched on, off and upgraded under connections that run."""

from __future__ import annotations

import hashlib
import random
import threading
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.datapath import fastpath
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from tests.datapath import support
from tests.fastpath.support import Counted, fast, receive
from tests.lab import HttpServer
from tests.lab.patience import CURL, PATIENCE, comes_true
from tests.lab.sabotage import later_version, this_version

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


@pytest.fixture
def alone(tmp_path: Path, on: str) -> Iterator[support.Applied]:
    """A lab for one test alone, with the fast path."""
    with support.applied(tmp_path) as made:
        made.write(on)
        made.apply()
        yield made
        made.destroy()


class Talk(threading.Thread):
    """Random messages one way, hashed at both ends, until told to stop."""

    def __init__(self, sender: socket.socket, reader: socket.socket, seed: int) -> None:
        super().__init__(daemon=True)
        self._ends = sender, reader
        self._chance = random.Random(seed)  # noqa: S311
        self._stop_it = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self.sent, self.got = hashlib.sha256(), hashlib.sha256()
        self.bytes = 0
        self._reader.start()
        self.start()

    def run(self) -> None:
        sender, _ = self._ends
        while not self._stop_it.is_set() and self.bytes < 1 << 28:
            message = self._chance.randbytes(self._chance.choice([1, 100, 3000, 60_000]))
            sender.sendall(message)
            self.sent.update(message)
            self.bytes += len(message)
        sender.shutdown(1)

    def _read(self) -> None:
        _, reader = self._ends
        while part := reader.recv(50_000):
            self.got.update(part)

    def end(self) -> bool:
        """Whether what was sent has arrived."""
        self._stop_it.set()
        self.join(20)
        self._reader.join(20)
        for end in self._ends:
            end.close()
        return self.sent.digest() == self.got.digest()


def talks(host: support.Applied, proxy: socket.socket, count: int) -> list[Talk]:
    made = []
    for number in range(count):
        pair = host.pair(proxy)
        near, far = (pair.near, pair.far) if number % 2 else (pair.far, pair.near)
        made.append(Talk(near, far, number))
    return made


def switch_off_and_on(host: support.Applied, on: str) -> None:
    host.write()
    host.apply()
    host.write(on)
    host.apply()


def test_no_byte_is_lost_while_it_is_switched_off_and_on(alone: support.Applied, on: str) -> None:
    with support.listener(alone) as proxy:
        running: list[Talk] = []
        for _ in range(3):
            running += talks(alone, proxy, 4)
            switch_off_and_on(alone, on)
        assert [talk.end() for talk in running] == [True] * 12
        assert all(talk.bytes for talk in running)


def test_no_byte_is_lost_while_its_programs_are_replaced(
    alone: support.Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    with support.listener(alone) as proxy:
        running = talks(alone, proxy, 4)
        later_version(monkeypatch)
        alone.apply()
        running += talks(alone, proxy, 4)
        monkeypatch.undo()
        this_version()
        alone.apply()
        assert [talk.end() for talk in running] == [True] * 8


def test_a_connection_from_before_keeps_to_tcp_and_one_from_after_is_enrolled(
    alone: support.Applied, on: str
) -> None:
    with support.listener(alone) as proxy:
        alone.write()
        alone.apply()
        older = alone.pair(proxy)
        alone.write(on)
        alone.apply()
        counted = Counted(alone)
        with older.near, older.far:
            older.near.sendall(b"older")
            assert older.far.recv(10) == b"older"
        assert counted() == {}
        newer = alone.pair(proxy)
        with newer.near, newer.far:
            newer.near.sendall(b"newer")
            assert newer.far.recv(10) == b"newer"
        assert counted()["messages"] == 1


def test_new_programs_carry_on_with_enrolled_connections(
    alone: support.Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    with support.listener(alone) as proxy:
        pair = alone.pair(proxy)
        with pair.near, pair.far:
            pair.near.sendall(b"before")
            later_version(monkeypatch)
            alone.apply()
            counted = Counted(alone)
            pair.near.sendall(b"after")
            assert receive(pair.far, 11) == b"beforeafter"
            assert counted() == {"messages": 1, "bytes": 5}
    monkeypatch.undo()
    this_version()


def test_what_waits_for_a_stalled_reader_is_still_there_when_it_is_switched_off(
    alone: support.Applied, on: str
) -> None:
    draining = alone.pins / "draining"
    with support.listener(alone) as proxy:
        stalled = alone.pair(proxy)
        with stalled.near, stalled.far:
            stalled.near.sendall(b"x" * 50_000)
            alone.write()
            alone.apply()
            kept = [path.name.partition("-")[0] for path in draining.iterdir()]
            assert kept == [fastpath.SOCKS.pin]
            stalled.near.sendall(b"y" * 10)
            assert receive(stalled.far, 50_010) == b"x" * 50_000 + b"y" * 10
            alone.write(on)
            alone.apply()
            assert not draining.exists()


def test_what_waits_for_a_reader_that_is_only_slow_is_waited_for(tmp_path: Path, on: str) -> None:
    with support.applied(tmp_path) as host, support.listener(host) as proxy:
        host.write(on)
        host.apply()
        pair = host.pair(proxy)
        got: list[bytes] = []
        slow = threading.Timer(0.3, lambda: got.append(receive(pair.far, 50_000)))
        with pair.near, pair.far:
            pair.near.sendall(b"x" * 50_000)
            slow.start()
            host.destroy()
            slow.join(PATIENCE)
        assert got == [b"x" * 50_000]
        assert not host.pins.exists()


def test_nothing_of_a_closed_connection_stays_in_the_maps(
    alone: support.Applied,
) -> None:
    with support.listener(alone) as proxy:
        for number in range(20):
            pair = alone.pair(proxy)
            with pair.near, pair.far:
                pair[number % 2].sendall(b"?")
                assert pair[1 - number % 2].recv(1) == b"?"
        for layout in (fastpath.PAIRS, fastpath.CLAIMS, fastpath.SOCKS):
            assert comes_true(empty(alone, layout.pin)), layout.name


def empty(host: support.Applied, pin: str) -> Callable[[], bool]:
    def look() -> bool:
        with bpf_maps.open_pinned(str(host.pins / "maps" / pin)) as fd:
            return not list(bpf_maps.keys(fd, bpf_maps.map_info(fd).key_size))

    return look


def test_with_tproxy_relay_everything_between_it_and_its_client_is_redirected(
    alone: support.Applied,
) -> None:
    counted = Counted(alone)
    with support.relay(alone, "--mark", "0x2"), HttpServer(alone.lab.net):
        for _ in range(5):
            curl = [*CURL, "http://1.1.1.1/"]
            assert alone.lab.host.run(curl).stdout.startswith("hello from the internet")
    found = counted()
    assert found["enrolled_client"] == found["enrolled_proxy"] == 5
    assert found["messages"] >= 10
    assert found["demoted_no_peer"] == 0


def test_the_proxy_may_restart(alone: support.Applied) -> None:
    for _ in range(3):
        counted = Counted(alone)
        with support.relay(alone, "--mark", "0x2"), HttpServer(alone.lab.net):
            curl = [*CURL, "http://1.1.1.1/"]
            assert alone.lab.host.run(curl).stdout.startswith("hello from the internet")
        assert counted()["messages"] >= 2


def test_a_smaller_budget_reaches_connections_that_run(
    alone: support.Applied, cgroup: Path
) -> None:
    with support.listener(alone) as proxy:
        pair = alone.pair(proxy)
        with pair.near, pair.far:
            pair.far.sendall(b"!")
            assert pair.near.recv(1) == b"!"
            pair.near.sendall(b"x" * 10_000)
            alone.write(fast(cgroup, ", budget: 8KiB"))
            alone.apply()
            counted = Counted(alone)
            pair.near.sendall(b"y" * 10)
            assert receive(pair.far, 10_010) == b"x" * 10_000 + b"y" * 10
            assert counted() == {"demoted_budget": 1}
