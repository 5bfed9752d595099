"""TCP over IPv6, with what is its own: extension headers, neighbour discovery, link-local."""

from __future__ import annotations

import socket

import pytest

from tests.lab import Capture
from tests.lab.counters import counting
from tests.traffic import support
from tests.traffic.icmp import pings
from tests.traffic.sockets import exchange, listener
from tests.traffic.support import BOUND, UNBOUND, V6, Applied, Sender

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
# Next header (filled in by the kernel), length 0: eight bytes, a PadN option of four.
PADDING = bytes([0, 0, 1, 4, 0, 0, 0, 0])
HOPOPTS, RTHDRDSTOPTS, DSTOPTS = socket.IPV6_HOPOPTS, socket.IPV6_RTHDRDSTOPTS, socket.IPV6_DSTOPTS


@pytest.mark.usefixtures("no_leak")
@pytest.mark.parametrize(
    "options",
    [(HOPOPTS,), (DSTOPTS,), (HOPOPTS, DSTOPTS)],
    ids=["hop-by-hop", "destination", "both"],
)
def test_a_connection_with_extension_headers_is_intercepted(
    host: Applied, sender: Sender, options: tuple[int, ...]
) -> None:
    with listener(host, V6) as proxy, host.client(sender, V6) as near, counting(host) as added:
        for option in options:
            near.setsockopt(socket.IPPROTO_IPV6, option, PADDING)
        near.connect((V6.far, 80))
        far, _ = proxy.accept()
        with far:
            assert far.getsockname()[:2] == (V6.far, 80)
            exchange(near, far, 1 << 20)
    assert added[sender.interface, "new"] == 1
    assert added[sender.interface, "malformed"] == 0


@pytest.mark.usefixtures("no_leak")
def test_a_refused_connection_with_extension_headers_is_refused_at_once(
    host: Applied, sender: Sender
) -> None:
    with host.client(sender, V6) as near:
        near.setsockopt(socket.IPPROTO_IPV6, HOPOPTS, PADDING)
        near.setsockopt(socket.IPPROTO_IPV6, DSTOPTS, PADDING)
        with pytest.raises(ConnectionRefusedError):
            near.connect((V6.far, 80))


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
def test_link_local_addresses_are_left_alone(host: Applied, kind: socket.SocketKind) -> None:
    scopes = []
    for namespace, device, address in (
        (host.lab.host, "wan0", "fe80::2"),
        (host.lab.net, "isp0", "fe80::1"),
    ):
        namespace.run(["ip", "addr", "replace", f"{address}/64", "dev", device, "nodad"])
        with namespace.entered():
            scopes.append(socket.if_nametoindex(device))
    with (
        listener(host, V6, kind) as proxy,
        host.lab.net.socket(socket.AF_INET6, kind) as server,
        host.client(UNBOUND, V6, kind) as near,
        counting(host) as added,
    ):
        server.bind(("fe80::1", 700, 0, scopes[1]))
        if kind == socket.SOCK_STREAM:
            server.listen()
        near.connect(("fe80::1", 700, 0, scopes[0]))
        near.send(b"x")
        end = server.accept()[0] if kind == socket.SOCK_STREAM else server
        assert end.recv(1) == b"x"
        end.close()
        proxy.settimeout(0.05)
        with pytest.raises(TimeoutError):
            proxy.accept() if kind == socket.SOCK_STREAM else proxy.recv(1)
    assert added["wan0", "bypass_address"] > 0
    assert added["wan0", "intercepted"] == 0


def test_neighbours_are_found_and_pinged_as_ever(host: Applied) -> None:
    host.lab.host.run(["ip", "neigh", "del", "fd77::1", "dev", "wan0"])
    with Capture(host.lab.net, "isp0") as wire:
        assert pings(host.lab.host, V6.number, "fd77::1")
        kinds = {packet.payload[0] for packet in wire.arrived("icmp6")}
    assert {128, 135} <= kinds  # echo request, neighbour solicitation
    support.introduce(host.lab)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
@pytest.mark.parametrize("address", ["::1", V6.host, V6.gate])
def test_this_hosts_own_addresses_are_left_alone(
    host: Applied, kind: socket.SocketKind, address: str
) -> None:
    with (
        host.lab.host.socket(socket.AF_INET6, kind) as server,
        host.client(UNBOUND, V6, kind) as near,
        counting(host) as added,
    ):
        server.bind((address, 800))
        if kind == socket.SOCK_STREAM:
            server.listen()
        near.connect((address, 800))
        near.send(b"x")
        end = server.accept()[0] if kind == socket.SOCK_STREAM else server
        assert end.recv(1) == b"x"
        end.close()
    assert not added


@pytest.mark.usefixtures("no_leak")
@pytest.mark.parametrize("sender", [UNBOUND, BOUND], ids=["unbound", "bound"])
def test_a_closed_connection_leaves_nothing_on_the_wire(host: Applied, sender: Sender) -> None:
    with listener(host, V6) as proxy:
        for first in (0, 1):
            pair = host.pair(proxy, sender, V6)
            pair[first].close()
            assert pair[1 - first].recv(1) == b""
            pair[1 - first].close()
