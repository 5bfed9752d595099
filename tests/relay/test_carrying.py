from __future__ import annotations

import contextlib
import hashlib
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.lab import EchoServer, HttpServer
from tests.lab.patience import CURL, PATIENCE
from tests.lab.streams import read_all
from tests.relay import bench

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture
def pair(setup: tuple[Lab, bench.Running]) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A LAN client and the server's end of its connection."""
    lab, _ = setup
    with bench.server(lab) as listener, bench.client(lab) as near:
        far, peer = listener.accept()
        far.settimeout(PATIENCE)
        assert peer[0] == "10.77.0.2", "the server must see the relay, not the client"
        with far:
            yield near, far


def test_a_request_and_its_answer(setup: tuple[Lab, bench.Running]) -> None:
    lab, relay = setup
    assert lab.lan is not None
    with HttpServer(lab.net):
        answer = lab.lan.run([*CURL, "http://1.1.1.1/"])
    assert answer.stdout == "hello from the internet, 10.77.0.2\n"
    relay.wait_for_line(r"10\.79\.0\.2:\d+ > 1\.1\.1\.1:80: \d+ bytes out, \d+ bytes in, ")


def test_the_client_may_end_first_and_still_hears_the_answer(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    near, far = pair
    near.sendall(b"question")
    near.shutdown(socket.SHUT_WR)
    assert read_all(far) == b"question"
    far.sendall(b"answer")
    far.close()
    assert read_all(near) == b"answer"


def test_the_server_may_end_first_and_still_hears_the_client(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    near, far = pair
    far.sendall(b"banner")
    far.shutdown(socket.SHUT_WR)
    assert read_all(near) == b"banner"
    near.sendall(b"late")
    near.close()
    assert read_all(far) == b"late"


@pytest.mark.parametrize("who", ["client", "server"])
def test_a_reset_arrives_as_a_reset(pair: tuple[socket.socket, socket.socket], who: str) -> None:
    near, far = pair
    breaking, other = (near, far) if who == "client" else (far, near)
    near.sendall(b"x")
    assert far.recv(1) == b"x"
    breaking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    breaking.close()
    with pytest.raises(ConnectionResetError):
        other.recv(1)


def test_a_refusal_is_a_reset_and_no_clean_end(setup: tuple[Lab, bench.Running]) -> None:
    lab, relay = setup
    with pytest.raises(ConnectionResetError):
        bench.first_byte(lab, port=5999)
    relay.wait_for_line("1.1.1.1:5999: connection refused")


def test_an_unreachable_target_is_a_reset(setup: tuple[Lab, bench.Running]) -> None:
    lab, relay = setup
    lab.host.run(["ip", "route", "add", "unreachable", "8.8.8.8/32"])
    lab.host.run(["ip", "route", "add", "local", "8.8.8.8/32", "dev", "lo", "table", "100"])
    with pytest.raises(ConnectionResetError):
        bench.first_byte(lab, "8.8.8.8")
    relay.wait_for_line("8.8.8.8:5000: no route to host")


def test_a_silent_target_is_a_reset_after_the_connect_timeout() -> None:
    with bench.relayed("--connect-timeout", "0.3") as (lab, relay):
        lab.net.run(["ip", "route", "add", "blackhole", "10.77.0.2/32"])
        with pytest.raises(ConnectionResetError):
            bench.first_byte(lab)
        relay.wait_for_line("1.1.1.1:5000: timed out")


def test_after_all_that_it_still_serves(setup: tuple[Lab, bench.Running]) -> None:
    lab, _ = setup
    for _ in range(5):
        with pytest.raises(ConnectionResetError):
            bench.first_byte(lab, port=5999)
    with EchoServer(lab.net), bench.client(lab, port=7) as near:
        near.sendall(b"still there")
        near.shutdown(socket.SHUT_WR)
        assert read_all(near) == b"still there"


def test_a_slow_reader_holds_the_sender_back_and_loses_nothing(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    near, far = pair
    total = 64 << 20
    block = bytes(range(256)) * 256
    sent = [0]

    def push() -> None:
        near.settimeout(PATIENCE)
        while sent[0] < total:
            sent[0] += near.send(block[sent[0] % len(block) :])
        near.shutdown(socket.SHUT_WR)

    pusher = threading.Thread(target=push, daemon=True)
    pusher.start()
    time.sleep(1)
    stalled_at = sent[0]
    time.sleep(0.3)
    assert sent[0] == stalled_at < total, "nobody reads, yet the sender goes on"
    digest = hashlib.sha256()
    received = 0
    while part := far.recv(1 << 20):
        digest.update(part)
        received += len(part)
    pusher.join(PATIENCE)
    assert received == total
    assert digest.digest() == hashlib.sha256(block * (total // len(block))).digest()


def test_one_busy_connection_does_not_starve_another(setup: tuple[Lab, bench.Running]) -> None:
    lab, _ = setup
    over = threading.Event()

    def flood(busy: socket.socket) -> None:
        block = bytes(1 << 16)
        with contextlib.suppress(OSError):  # the end comes in mid-write
            while not over.is_set():
                busy.sendall(block)

    def drain(busy: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not over.is_set() and busy.recv(1 << 20):
                pass

    with EchoServer(lab.net), bench.client(lab, port=7) as busy:
        threads = [threading.Thread(target=work, args=(busy,)) for work in (flood, drain)]
        for thread in threads:
            thread.start()
        try:
            time.sleep(0.3)
            with bench.client(lab, port=7) as calm:
                took = []
                for _ in range(5):
                    start = time.monotonic()
                    for _ in range(10):
                        calm.sendall(b"ping")
                        assert calm.recv(4) == b"ping"
                    took.append(time.monotonic() - start)
                assert min(took) < 3
        finally:
            over.set()
            busy.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(PATIENCE)


def test_ipv6_is_carried_too() -> None:
    address = "2606:4700:4700::1111"
    with bench.relayed(ipv6=True) as (lab, relay):
        with EchoServer(lab.net, address), bench.client(lab, address, 7) as near:
            near.sendall(b"six")
            near.shutdown(socket.SHUT_WR)
            assert read_all(near) == b"six"
        relay.wait_for_line(r"\[fd79::2\]:\d+ > \[2606:4700:4700::1111\]:7: 3 bytes out")
