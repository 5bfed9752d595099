"""Not one packet of an intercepted connection reaches the wire, however it ends."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.datapath import packets, support
from tests.datapath.support import FAR, PROXY, WEB, Applied, Pair, relay
from tests.lab import Capture, HttpServer
from tests.lab.counters import counting
from tests.lab.patience import PATIENCE
from tests.lab.streams import read_all, reset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
both = pytest.mark.parametrize("device", ["", "wan0"], ids=["unbound", "bound"])


@pytest.fixture
def wire(host: Applied) -> Iterator[Capture]:
    """The far end: these tests put nothing there, so whatever arrives is a leak."""
    with Capture(host.lab.net, "isp0") as made:
        yield made


def client_first(pair: Pair) -> None:
    pair.near.close()
    assert pair.far.recv(1) == b""
    pair.far.close()


def proxy_first(pair: Pair) -> None:
    client_first(Pair(pair.far, pair.near))


def both_at_once(pair: Pair) -> None:
    pair.near.close()
    pair.far.close()


def client_half_first(pair: Pair) -> None:
    pair.near.shutdown(socket.SHUT_WR)
    pair.far.sendall(b"late")
    assert pair.near.recv(4) == b"late"
    pair.far.close()
    assert pair.near.recv(1) == b""
    pair.near.close()


def client_resets(pair: Pair) -> None:
    reset(pair.near)
    with contextlib.suppress(ConnectionResetError):
        pair.far.recv(1)
    pair.far.close()


def proxy_resets(pair: Pair) -> None:
    client_resets(Pair(pair.far, pair.near))


def client_leaves_data_unread(pair: Pair) -> None:
    pair.far.sendall(bytes(100_000))
    pair.near.close()
    pair.far.close()


def proxy_leaves_data_unread(pair: Pair) -> None:
    client_leaves_data_unread(Pair(pair.far, pair.near))


def proxy_writes_to_a_closed_client(pair: Pair) -> None:
    pair.near.close()
    with contextlib.suppress(ConnectionError):
        for _ in range(3):
            pair.far.sendall(bytes(3000))
    pair.far.close()


def client_writes_to_a_closed_proxy(pair: Pair) -> None:
    proxy_writes_to_a_closed_client(Pair(pair.far, pair.near))


ORDERS = (
    client_first, proxy_first, both_at_once, client_half_first, client_resets, proxy_resets,
    client_leaves_data_unread, proxy_leaves_data_unread, proxy_writes_to_a_closed_client,
    client_writes_to_a_closed_proxy,
)  # fmt: skip


@both
@pytest.mark.parametrize("end", ORDERS)
def test_nothing_leaks_when(
    host: Applied, proxy: socket.socket, wire: Capture, device: str, end: Callable[[Pair], None]
) -> None:
    with counting(host) as added:
        for _ in range(10):
            pair = host.pair(proxy, device)
            pair.near.sendall(b"hello")
            assert pair.far.recv(5) == b"hello"
            end(pair)
        assert wire.packets == []
    assert added["wan0", "new"] == 10
    assert added["wan0", "untracked"] == 0


@both
def test_nothing_leaks_when_the_client_never_heard_of_the_connection_it_is_told_of(
    host: Applied, proxy: socket.socket, wire: Capture, device: str
) -> None:
    """Once both ends are gone, a late segment makes the client's stack send a bare reset."""
    near, far = host.pair(proxy, device)
    client = near.getsockname()
    reset(near)
    far.close()
    for flags in (packets.RST, packets.RST | packets.ACK, packets.ACK):
        packets.send(host, packets.segment(client, WEB, flags))
    assert wire.packets == []


_SILENT = """
import socket, sys
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.setsockopt(socket.IPPROTO_IP, 19, 1)
listener.bind((sys.argv[1], int(sys.argv[2])))
listener.listen(512)
ends = []
while True:
    ends.append(listener.accept())
"""

_HASTY = """
import random, socket, struct, sys
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.setsockopt(socket.IPPROTO_IP, 19, 1)
listener.bind((sys.argv[1], int(sys.argv[2])))
listener.listen(512)
while True:
    end, _ = listener.accept()
    try:
        for _ in range(random.randrange(1, 5)):
            end.send(bytes(3000), socket.MSG_DONTWAIT)
    except OSError:
        pass
    if random.random() < 0.5:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()
"""


@both
def test_nothing_leaks_when_both_ends_break_off_at_any_moment(
    host: Applied, wire: Capture, device: str
) -> None:
    child = host.lab.host.popen([sys.executable, "-c", _HASTY, *map(str, PROXY)])
    try:
        support.wait_until_listening(host)
        deadline = time.monotonic() + 1
        opened = 0
        while time.monotonic() < deadline or opened <= 300:
            near = host.client(device)
            opened += 1
            with contextlib.suppress(ConnectionError, BlockingIOError):
                near.connect(WEB)
                near.send(bytes(3000), socket.MSG_DONTWAIT)
            if opened % 2:
                near.close()
            else:
                reset(near)
    finally:
        child.kill()
        child.wait(PATIENCE)
    leaked = wire.packets
    assert not leaked, f"{len(leaked)} packets of {opened} connections, first {leaked[0]}"
    assert opened > 300


@both
def test_nothing_leaks_when_the_proxy_is_killed(host: Applied, wire: Capture, device: str) -> None:
    child = host.lab.host.popen([sys.executable, "-c", _SILENT, *map(str, PROXY)])
    try:
        support.wait_until_listening(host)
        open_ends = [host.connect(device) for _ in range(20)]
        for near in open_ends[:10]:
            near.sendall(bytes(3000))
    finally:
        child.kill()
        child.wait(PATIENCE)
    for near in open_ends:
        with contextlib.suppress(ConnectionError):
            near.sendall(b"anybody?")
            near.recv(1)
        near.close()
    assert wire.packets == []


@both
def test_nothing_leaks_when_the_client_is_killed(
    host: Applied, proxy: socket.socket, wire: Capture, device: str
) -> None:
    device_option = ["--interface", device] if device else []
    curl = ["curl", "-sS", "--limit-rate", "1", *device_option, "http://1.1.1.1/"]
    for _ in range(5):
        child = host.lab.host.popen(curl, stdout=subprocess.DEVNULL)
        far, _ = proxy.accept()
        with far:
            far.settimeout(PATIENCE)
            assert far.recv(1000)
            far.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + bytes(200_000))
            child.kill()
            child.wait(PATIENCE)
            with contextlib.suppress(ConnectionError):
                far.sendall(bytes(1000))
    assert wire.packets == []


def test_only_the_relays_own_connections_appear(fresh: Applied) -> None:
    with HttpServer(fresh.lab.net) as server, Capture(fresh.lab.net, "isp0") as wire:
        ports = []
        with relay(fresh):
            for number in range(40):
                near = fresh.connect("wan0" if number % 2 else "", (FAR, 80))
                ports.append(near.getsockname()[1])
                near.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert near.recv(10) == b"HTTP/1.1 2"
                if number % 4 < 2:
                    read_all(near)
                    near.close()
                else:
                    reset(near)
        seen = {packet.sport for packet in wire.arrived("tcp")}
    assert seen == {port for _, port in server.peers}
    assert not seen & set(ports)
