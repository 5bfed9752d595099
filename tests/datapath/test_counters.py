"""Every outcome is counted: the ones met on the way here, and the rest provoked."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.datapath.layouts import CONFIG
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from tests.datapath import packets
from tests.datapath.packets import ACK, MORE_FRAGMENTS, SYN
from tests.datapath.support import FAR, WEB, Applied
from tests.lab import Capture, EchoServer
from tests.lab.counters import counting, read_counters
from tests.lab.needed import need_sysctl
from tests.lab.streams import hears_nothing, read_exactly

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
OWN = ("10.77.0.2", 45000)
UNSPEC, OK, SHOT = -1, 0, 2
TO_PROXY, TO_CLIENT, AGAIN, HANDSHAKE = 0x6E747001, 0x6E747002, 0x6E747003, 1
LO = 1  # ifindex


def handover(magic: int, ifindex: int = 0, flags: int = 0) -> tuple[int, ...]:
    """What our programs tell each other of a packet that enters by ``lo``."""
    return (magic, ifindex, flags, 0x70726F78 ^ LO ^ ifindex ^ flags)


@pytest.fixture
def wire(host: Applied) -> Iterator[Capture]:
    with Capture(host.lab.net, "isp0") as made:
        yield made


def test_an_intercepted_connection_is_counted_packet_by_packet(
    host: Applied, proxy: socket.socket
) -> None:
    with counting(host) as added:
        near, far = host.pair(proxy, "wan0")
    assert added == {
        ("wan0", "intercepted"): 2,  # SYN, ACK
        ("wan0", "new"): 1,
        ("wan0", "reply"): 1,  # SYN ACK
    }
    with counting(host) as added:
        near.sendall(b"x")
        assert far.recv(1) == b"x"
    assert added == {("wan0", "intercepted"): 1, ("wan0", "reply"): 1}
    near.close()
    far.close()


def test_bytes_are_counted_too(host: Applied, proxy: socket.socket) -> None:
    near, far = host.pair(proxy)
    before = read_counters(host, "bytes")["wan0", "intercepted"]
    with near, far:
        near.sendall(bytes(50_000))
        assert read_exactly(far, 50_000) == bytes(50_000)
        assert 50_000 < read_counters(host, "bytes")["wan0", "intercepted"] - before < 60_000


def test_a_datagram_in_fragments_that_would_be_intercepted_is_dropped_as_a_whole(
    host: Applied, wire: Capture
) -> None:
    with counting(host) as added:
        for number in (7, 8):
            for fragment in (MORE_FRAGMENTS, MORE_FRAGMENTS | 100, 200):
                packet = packets.segment(OWN, WEB, SYN, fragment=fragment, number=number)
                packets.send(host, packet)
    assert added == {("wan0", "fragment_dropped"): 6}
    assert wire.packets == []


def test_fragments_of_what_is_bypassed_pass_and_are_counted(host: Applied, wire: Capture) -> None:
    with counting(host) as added:
        for fragment in (MORE_FRAGMENTS, MORE_FRAGMENTS | 100, 200):
            packet = packets.segment(OWN, WEB, SYN, fragment=fragment, number=9)
            packets.send(host, packet, mark=2)
    assert added == {("wan0", "fragment"): 3}
    assert len(wire.arrived()) == 3


@pytest.mark.parametrize("length", [20, 24, 39])
def test_headers_cut_short_pass_only_if_they_are_bypassed(
    host: Applied, wire: Capture, length: int
) -> None:
    with counting(host) as added:
        for mark in (2, 0):
            packets.send(host, packets.segment(OWN, WEB, SYN)[:length], mark=mark)
    assert added == {("wan0", "malformed"): 1, ("wan0", "unreadable"): 1}
    assert len(wire.arrived()) == 1


def test_a_header_that_is_longer_than_its_packet_is_not_let_out(host: Applied) -> None:
    with counting(host) as added:
        verdict = packets.run(host, "wan_egress", packets.segment(OWN, WEB, SYN, ihl=15))
    assert verdict == SHOT
    assert added == {("lo", "unreadable"): 1}


@pytest.mark.parametrize("ihl", [0, 4])
def test_a_wrong_header_length_is_counted_as_malformed(host: Applied, ihl: int) -> None:
    with counting(host) as added:
        verdict = packets.run(host, "wan_egress", packets.segment(OWN, WEB, SYN, ihl=ihl))
    assert verdict == UNSPEC
    assert added == {("lo", "malformed"): 1}


@pytest.mark.parametrize("flags", [SYN, ACK])
def test_what_no_connection_of_ours_sent_passes_untracked(
    host: Applied, proxy: socket.socket, wire: Capture, flags: int
) -> None:
    with counting(host) as added:
        packets.send(host, packets.segment(OWN, WEB, flags))
    assert added == {("wan0", "untracked"): 1}
    assert len(wire.arrived()) == 1
    assert hears_nothing(proxy)


def test_a_listener_that_goes_while_a_packet_is_on_its_way_is_counted(host: Applied) -> None:
    with counting(host) as added:
        packet = packets.segment(OWN, WEB, SYN)
        verdict = packets.run(host, "lo_ingress", packet, handover(TO_PROXY, 1, HANDSHAKE))
    assert verdict == SHOT
    assert added == {("lo", "no_listener"): 1}


def test_a_refused_assignment_is_counted(host: Applied, proxy: socket.socket) -> None:
    """A test run is no ingress hook, so the kernel refuses to assign a socket there."""
    del proxy
    with counting(host) as added:
        packet = packets.segment(OWN, WEB, SYN)
        verdict = packets.run(host, "lo_ingress", packet, handover(TO_PROXY, 1, HANDSHAKE))
    assert verdict == SHOT
    assert added == {("lo", "assign_failed"): 1}


# What others leave in the control block. GRO puts the time there: one tick in 2^32 is our magic.
LEFT = [
    (), (0x12345678, 1, 1),
    *((magic, 0, 14, 1 << 16 | 1, 6) for magic in (TO_PROXY, TO_CLIENT, AGAIN)),
    handover(TO_PROXY, 1, 1)[:3], (*handover(TO_PROXY, 1, 1)[:2], 2, handover(TO_PROXY, 1, 1)[3]),
    (TO_CLIENT, 0, 0, handover(TO_CLIENT)[3] ^ 2),  # for another device
]  # fmt: skip


@pytest.mark.parametrize("cb", LEFT)
@pytest.mark.parametrize("program", ["lo_ingress", "lo_egress", "wan_ingress"])
def test_packets_without_our_magic_pass_uncounted(
    host: Applied, program: str, cb: tuple[int, ...]
) -> None:
    packet = packets.segment(WEB, OWN, ACK)
    with counting(host) as added:
        assert packets.run(host, program, packet, cb) == UNSPEC
    assert not added


def test_packets_with_our_magic_are_taken(host: Applied) -> None:
    packet = packets.segment(WEB, OWN, ACK)
    with counting(host) as added:
        assert packets.run(host, "lo_ingress", packet, handover(TO_PROXY, 1)) == OK
        assert packets.run(host, "wan_ingress", packet, handover(TO_CLIENT)) == OK
    assert not added


@pytest.mark.parametrize("device", ["", "wan0"], ids=["unbound", "bound"])
def test_without_memory_for_a_verdict_a_connection_waits_and_nothing_leaks(
    host: Applied, proxy: socket.socket, wire: Capture, device: str
) -> None:
    need_sysctl(host.lab.host, "net.core.optmem_max")
    usual = host.lab.host.sysctl("net.core.optmem_max")
    with host.client(device) as near:
        host.lab.host.sysctl("net.core.optmem_max", 0)
        try:
            near.settimeout(0.1)
            with counting(host) as added, pytest.raises(TimeoutError):
                near.connect(WEB)
        finally:
            host.lab.host.sysctl("net.core.optmem_max", usual)
        assert added == {("wan0", "no_memory"): 1}
        far, _ = proxy.accept()  # its SYN was sent again
        far.close()
    assert wire.packets == []


def test_a_bypassed_connection_needs_no_memory(host: Applied) -> None:
    """Its later packets go out as those do of which nothing is known."""
    need_sysctl(host.lab.host, "net.core.optmem_max")
    usual = host.lab.host.sysctl("net.core.optmem_max")
    with EchoServer(host.lab.net), host.client(mark=2) as near:
        host.lab.host.sysctl("net.core.optmem_max", 0)
        try:
            with counting(host) as added:
                near.connect((FAR, 7))
                near.sendall(b"direct")
                assert near.recv(6) == b"direct"
        finally:
            host.lab.host.sysctl("net.core.optmem_max", usual)
    assert added["wan0", "bypass_mark"] == 1
    assert {outcome for _, outcome in added} == {"bypass_mark", "untracked"}


def test_without_a_configuration_everything_passes(fresh: Applied) -> None:
    config = str(fresh.pins / "maps" / CONFIG.pin)
    with bpf_maps.open_pinned(config) as fd:
        assert bpf_maps.delete(fd, bytes(4))
    with EchoServer(fresh.lab.net), fresh.client() as near, counting(fresh) as added:
        near.connect((FAR, 7))
        near.sendall(b"direct")
        assert near.recv(6) == b"direct"
    assert set(added) == {("wan0", "unconfigured")}
    fresh.apply()
    with pytest.raises(ConnectionRefusedError):
        fresh.connect()
