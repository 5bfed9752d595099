from __future__ import annotations

import ctypes
import hashlib
import random
import socket
import threading

import pytest

from tests.datapath.support import FAR, Applied, Pair, relay
from tests.lab import Capture, EchoServer, HttpServer
from tests.lab.counters import counting
from tests.lab.patience import CURL, PATIENCE
from tests.lab.streams import read_all

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
both = pytest.mark.parametrize("device", ["", "wan0"], ids=["unbound", "bound"])
FETCH = [*CURL, "http://1.1.1.1/"]


def exchange(pair: Pair, size: int) -> None:
    """Send ``size`` random bytes each way at once, end each half, and compare."""
    sent = [random.Random(seed).randbytes(size) for seed in range(2)]  # noqa: S311 - test data

    def push(end: socket.socket, data: bytes) -> None:
        end.sendall(data)
        end.shutdown(socket.SHUT_WR)

    pushers = [threading.Thread(target=push, args=each) for each in zip(pair, sent, strict=True)]
    for pusher in pushers:
        pusher.start()
    got = [b"", b""]

    def pull() -> None:
        got[0] = read_all(pair.far)

    puller = threading.Thread(target=pull)
    puller.start()
    got[1] = read_all(pair.near)
    for thread in (*pushers, puller):
        thread.join(20)
    hashes = [[hashlib.sha256(data).hexdigest() for data in each] for each in (sent, got)]
    assert hashes[0] == hashes[1]


def test_curl_is_served_through_the_relay_bound_to_the_device_or_not(host: Applied) -> None:
    with HttpServer(host.lab.net) as server, relay(host), Capture(host.lab.net, "isp0") as wire:
        for options in ([], ["--interface", "wan0"]):
            with counting(host) as added:
                answer = host.lab.host.run([*FETCH, *options])
            assert answer.stdout == "hello from the internet, 10.77.0.2\n"
            # The client's connection is taken, the relay's own is let through.
            assert added["wan0", "new"] == 1
            assert added["wan0", "bypass_mark"] == 1
        opened = [packet.sport for packet in wire.arrived("tcp") if packet.flags == "S"]
    assert opened == [port for _, port in server.peers]
    assert len(opened) == 2


@both
def test_bulk_is_carried_through_the_relay(host: Applied, device: str) -> None:
    data = random.Random(3).randbytes(4 << 20)  # noqa: S311 - test data
    with EchoServer(host.lab.net), relay(host), host.connect(device, (FAR, 7)) as near:
        pusher = threading.Thread(target=near.sendall, args=(data,))
        pusher.start()
        digest = hashlib.sha256()
        left = len(data)
        while left and (part := near.recv(min(left, 1 << 20))):
            digest.update(part)
            left -= len(part)
        pusher.join(20)
    assert digest.digest() == hashlib.sha256(data).digest()


@both
@pytest.mark.parametrize("where", [("1.1.1.1", 80), ("8.8.8.8", 4433)])
def test_the_proxy_sees_the_original_destination_as_its_own_address(
    host: Applied, proxy: socket.socket, device: str, where: tuple[str, int]
) -> None:
    with host.connect(device, where) as near:
        far, peer = proxy.accept()
        with far:
            assert far.getsockname() == where == near.getpeername()
            assert peer == near.getsockname()


@both
def test_bulk_goes_both_ways_at_once(host: Applied, proxy: socket.socket, device: str) -> None:
    pair = host.pair(proxy, device)
    with pair.near, pair.far, counting(host) as added:
        exchange(pair, 16 << 20)
    # 32 MiB in packets of 1500 bytes would be more than 20000.
    assert added["wan0", "intercepted"] < 15_000


@both
def test_either_half_may_end_first(host: Applied, proxy: socket.socket, device: str) -> None:
    for first in (0, 1):
        pair = host.pair(proxy, device)
        with pair.near, pair.far:
            early, late = pair[first], pair[1 - first]
            early.sendall(b"all I have")
            early.shutdown(socket.SHUT_WR)
            assert read_all(late) == b"all I have"
            late.sendall(b"but I have more")
            late.close()
            assert read_all(early) == b"but I have more"


@both
@pytest.mark.parametrize("size", [88, 536])
def test_small_segments_are_carried(
    host: Applied, proxy: socket.socket, device: str, size: int
) -> None:
    near = host.client(device)
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, size)
    near.connect(("1.1.1.1", 80))
    far, _ = proxy.accept()
    with near, far:
        far.settimeout(PATIENCE)
        assert far.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= size
        exchange(Pair(near, far), 1 << 20)


@both
@pytest.mark.parametrize(
    "options", [b"\x01" * 4, b"\x07\x0b\x04" + bytes(9)], ids=["no-operation", "record-route"]
)
def test_packets_with_ip_options_are_carried(
    host: Applied, proxy: socket.socket, device: str, options: bytes
) -> None:
    near = host.client(device)
    near.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, options)
    near.connect(("1.1.1.1", 80))
    far, _ = proxy.accept()
    with near, far:
        far.settimeout(PATIENCE)
        assert far.getsockname() == ("1.1.1.1", 80)
        exchange(Pair(near, far), 1 << 20)


@both
@pytest.mark.parametrize("speaks_first", [0, 1], ids=["client-first", "server-first"])
def test_connections_survive_syn_cookies(
    host: Applied, proxy: socket.socket, device: str, speaks_first: int
) -> None:
    """With cookies the proxy has no socket before the client's last handshake packet."""
    usual = host.lab.host.sysctl("net.ipv4.tcp_syncookies")
    host.lab.host.sysctl("net.ipv4.tcp_syncookies", 2)
    try:
        pair = host.pair(proxy, device)
    finally:
        host.lab.host.sysctl("net.ipv4.tcp_syncookies", usual)
    with pair.near, pair.far:
        pair[speaks_first].sendall(b"hello")
        assert pair[1 - speaks_first].recv(5) == b"hello"
        exchange(pair, 1 << 20)


@both
def test_strict_reverse_path_filtering_does_no_harm(
    host: Applied, proxy: socket.socket, device: str
) -> None:
    names = [f"net.ipv4.conf.{name}.rp_filter" for name in ("all", "lo", "wan0")]
    usual = {name: host.lab.host.sysctl(name) for name in names}
    for name in names:
        host.lab.host.sysctl(name, 1)
    try:
        pair = host.pair(proxy, device)
        with pair.near, pair.far:
            exchange(pair, 1 << 16)
    finally:
        for name, value in usual.items():
            host.lab.host.sysctl(name, value)


def test_a_client_with_an_ipv6_socket_is_intercepted_too(
    host: Applied, proxy: socket.socket
) -> None:
    with host.lab.host.socket(socket.AF_INET6) as near:
        near.connect(("::ffff:1.1.1.1", 80))
        far, _ = proxy.accept()
        with far:
            assert far.getsockname() == ("1.1.1.1", 80)


def test_one_socket_may_connect_again_elsewhere(host: Applied, proxy: socket.socket) -> None:
    """``connect`` to AF_UNSPEC ends a connection and keeps the socket, verdict and all."""
    with EchoServer(host.lab.net), host.client() as near:
        for where, mark in ((("1.1.1.1", 80), 0), (("1.1.1.1", 7), 2), (("8.8.8.8", 80), 0)):
            near.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
            near.connect(where)
            if mark:
                near.sendall(b"direct")
                assert near.recv(6) == b"direct"
            else:
                far, _ = proxy.accept()
                with far:
                    assert far.getsockname() == where
            disconnect(near)


def disconnect(end: socket.socket) -> None:
    # Python's own connect knows no AF_UNSPEC.
    nowhere = bytes(16)
    assert ctypes.CDLL(None).connect(end.fileno(), nowhere, len(nowhere)) == 0


@both
def test_small_receive_buffers_stall_nobody(
    host: Applied, proxy: socket.socket, device: str
) -> None:
    """What fills more of a buffer than its window had allowed for is dropped, again and again."""
    pair = host.pair(proxy, device)
    with pair.near, pair.far:
        for end in pair:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        exchange(pair, 4 << 20)
