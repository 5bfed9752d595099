"""What machines behind ``lan0`` send through this host, and what they say to it."""

from __future__ import annotations

import socket
import struct

import pytest

from tests.lab import Capture, EchoServer
from tests.lab.counters import counting
from tests.lab.patience import PATIENCE
from tests.lab.streams import read_exactly
from tests.traffic.icmp import pings
from tests.traffic.sockets import exchange, leaks, listener, receive
from tests.traffic.support import BEHIND, UNBOUND, V4, Applied, Family, make_site

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
DGRAM = socket.SOCK_DGRAM
GRE = 47  # any protocol that is neither TCP, UDP nor ICMP


def serve(namespace_socket: socket.socket, where: tuple[str, int]) -> None:
    namespace_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    namespace_socket.bind(where)
    if namespace_socket.type == socket.SOCK_STREAM:
        namespace_socket.listen()


@pytest.mark.usefixtures("no_leak")
def test_connections_are_taken_and_answered(
    host: Applied, family: Family, tcp: socket.socket
) -> None:
    with counting(host) as added:
        for port in (22, 80, 9040, 65535):
            near, far = host.pair(tcp, BEHIND, family, port=port)
            with near, far:
                exchange(near, far, 1 << 18)
    assert added["lan0", "new"] == 4
    assert {device for device, _ in added} == {"lan0"}


@pytest.mark.usefixtures("no_leak")
@pytest.mark.parametrize("first", [0, 1], ids=["client-first", "proxy-first"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_nothing_leaks_when_connections_end(
    host: Applied, family: Family, tcp: socket.socket, first: int, how: str
) -> None:
    for _ in range(5):
        pair = host.pair(tcp, BEHIND, family)
        if how == "reset":
            pair[first].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        pair[first].sendall(b"last words")
        pair[first].close()
        try:
            read_exactly(pair[1 - first], 100)
            pair[1 - first].sendall(b"too late")
        except ConnectionError:
            pass
        pair[1 - first].close()


@pytest.mark.usefixtures("no_leak")
@pytest.mark.parametrize("first", [0, 1], ids=["client-first", "proxy-first"])
def test_a_client_may_use_its_port_again_at_once(
    host: Applied, family: Family, tcp: socket.socket, first: int
) -> None:
    """Whoever closed first waits in TIME_WAIT, and the other does not know."""
    port = 41000 + first
    before = host.lan.netstat("TCPSynRetrans")
    for _ in range(3):
        near = host.client(BEHIND, family)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        near.bind(("", port))
        near.settimeout(PATIENCE)
        near.connect((family.far, 80))
        far, peer = tcp.accept()
        far.settimeout(PATIENCE)
        assert peer[1] == port
        ends = (near, far)
        near.sendall(b"hello")
        assert far.recv(5) == b"hello"
        ends[first].close()
        assert ends[1 - first].recv(1) == b""
        ends[1 - first].close()
    assert host.lan.netstat("TCPSynRetrans") == before


@pytest.mark.usefixtures("tcp")
@pytest.mark.parametrize("where", ["gate", "host"], ids=["lan0", "wan0"])
@pytest.mark.parametrize("port", [22, 9040])
def test_this_hosts_own_services_are_reached_from_behind(
    host: Applied, family: Family, where: str, port: int
) -> None:
    """SSH to the router works, by whichever of its addresses."""
    address = getattr(family, where)
    with host.lab.host.socket(family.number) as server, host.client(BEHIND, family) as near:
        serve(server, (address, port))
        with counting(host) as added:
            near.connect((address, port))
            far, _ = server.accept()
            with far:
                exchange(near, far, 1 << 16)
    assert {outcome for _, outcome in added} == {"local"}
    with host.client(BEHIND, family) as near, pytest.raises(ConnectionRefusedError):
        near.connect((address, 4711))


@pytest.mark.parametrize("target", ["gate", "host", "far"])
def test_pings_from_behind_are_answered(
    host: Applied, family: Family, tcp: socket.socket, target: str
) -> None:
    del tcp
    assert pings(host.lan, family.number, getattr(family, target))


def test_other_protocols_are_forwarded(host: Applied, family: Family) -> None:
    with (
        host.lab.net.socket(family.number, socket.SOCK_RAW, GRE) as end,
        host.lan.socket(family.number, socket.SOCK_RAW, GRE) as near,
    ):
        near.sendto(b"something else", (family.far, 0))
        assert end.recv(2000).endswith(b"something else")


def test_what_this_host_opens_towards_those_behind_it_is_left_alone(
    host: Applied, family: Family, tcp: socket.socket
) -> None:
    del tcp
    with host.lan.socket(family.number) as server, host.client(UNBOUND, family) as near:
        serve(server, (family.behind, 80))
        with counting(host) as added:
            near.connect((family.behind, 80))
            far, _ = server.accept()
            with far:
                exchange(near, far, 1 << 16)
    assert {outcome for _, outcome in added} == {"local"}


def test_a_connection_from_outside_to_a_machine_behind_is_left_alone(
    host: Applied, family: Family, tcp: socket.socket
) -> None:
    del tcp
    with host.lan.socket(family.number) as server, host.lab.net.socket(family.number) as near:
        serve(server, (family.behind, 80))
        with counting(host) as added:
            near.connect((family.behind, 80))
            far, _ = server.accept()
            with far:
                exchange(near, far, 1 << 16)
    assert added["lan0", "untracked"] > 0
    assert added["lan0", "intercepted"] == 0


def test_answers_of_a_datagram_service_behind_count_as_flows_of_its_own(
    host: Applied, family: Family, udp: socket.socket, wire: Capture
) -> None:
    """Nothing tells them apart from what it says first, unless the file bypasses it."""
    with (
        host.lan.socket(family.number, DGRAM) as server,
        host.lab.net.socket(family.number, DGRAM) as near,
    ):
        serve(server, (family.behind, 53))
        near.bind((family.far, 0))
        near.sendto(b"question", (family.behind, 53))
        data, visitor = server.recvfrom(100)
        assert data == b"question"
        server.sendto(b"answer", visitor)
        assert receive(udp).data == b"answer"
        assert leaks(wire) == []


def test_without_forwarding_nothing_is_taken(host: Applied, tcp: socket.socket) -> None:
    """A host that is no router would not have passed it on."""
    del tcp
    host.lab.host.sysctl("net.ipv4.ip_forward", 0)
    try:
        with host.client(BEHIND, V4) as near, counting(host) as added:
            near.settimeout(0.1)
            with pytest.raises(TimeoutError):
                near.connect((V4.far, 80))
    finally:
        host.lab.host.sysctl("net.ipv4.ip_forward", 1)
    assert added == {("lan0", "not_forwarding"): 1}


def test_strict_reverse_path_filtering_does_no_harm(host: Applied) -> None:
    names = [f"net.ipv4.conf.{name}.rp_filter" for name in ("all", "lo", "wan0", "lan0")]
    usual = {name: host.lab.host.sysctl(name) for name in names}
    for name in names:
        host.lab.host.sysctl(name, 1)
    try:
        with listener(host, V4) as proxy, Capture(host.lab.net, "isp0") as wire:
            near, far = host.pair(proxy, BEHIND, V4)
            with near, far:
                exchange(near, far, 1 << 16)
            assert leaks(wire) == []
    finally:
        for name, value in usual.items():
            host.lab.host.sysctl(name, value)


def test_a_port_is_direct_once_no_listener_is_named(host: Applied, family: Family) -> None:
    """What it had before does not speak for the connection that it has now."""

    def from_same_port() -> socket.socket:
        near = host.client(BEHIND, family)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        near.bind(("", 41010))
        near.settimeout(PATIENCE)
        near.connect((family.far, 7))
        return near

    with listener(host, family) as proxy, from_same_port() as near:
        far, _ = proxy.accept()
        far.settimeout(PATIENCE)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        near.close()
        with far, pytest.raises(ConnectionResetError):
            far.recv(1)
    without_tcp = [line for line in make_site().splitlines() if "  tcp" not in line]
    host.apply("\n".join(without_tcp) + "\n")
    try:
        with EchoServer(host.lab.net, family.far), from_same_port() as near:
            near.sendall(b"direct")
            assert near.recv(10) == b"direct"
    finally:
        host.apply(make_site())


@pytest.mark.usefixtures("no_leak")
def test_a_route_by_type_of_service_leads_to_the_proxy(
    host: Applied, family: Family, tcp: socket.socket
) -> None:
    """The only way out is that of packets with low delay (ip-rule(8), ``tos``)."""
    words = "-6" if family.number == socket.AF_INET6 else "-4"
    shown = host.lab.host.run(["ip", words, "route", "show", "default"]).stdout.split()
    ways = [f"{words} route", f"{words} rule"]
    there = [
        f"{ways[0]} add {' '.join(shown)} table 77",
        f"{ways[1]} add tos 0x10 table 77 pref 2000",
    ]
    back = [f"{ways[0]} add {' '.join(shown)}", f"{ways[1]} del pref 2000"]

    def ip(lines: list[str]) -> None:
        for line in lines:
            host.lab.host.run(["ip", *line.split()])

    ip([*there, f"{ways[0]} del default"])
    try:
        with host.client(BEHIND, family) as near, counting(host) as added:
            level, name = (41, 67) if family.number == socket.AF_INET6 else (0, socket.IP_TOS)
            near.setsockopt(level, name, 0x10)
            near.connect((family.far, 80))
            tcp.accept()[0].close()
    finally:
        ip([*back, f"{ways[0]} flush table 77"])
    assert added["lan0", "new"] == 1
