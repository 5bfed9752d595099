"""Tagged frames belong to a VLAN device, and are none of its parent's business."""

from __future__ import annotations

import socket
import struct

import pytest

from tests.lab.counters import counting
from tests.lab.patience import PATIENCE
from tests.lab.streams import hears_nothing
from tests.traffic.frames import (
    ACK,
    DOT1AD,
    DOT1Q,
    RST,
    SYN,
    VLAN_VALID,
    datagram,
    frame,
    ip_packet,
    mac_of,
    sender_of,
    tcp_segment,
)
from tests.traffic.sockets import listener, receive
from tests.traffic.support import V4, Applied

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
WEB = (V4.far, 80)
tagged = pytest.mark.parametrize(
    "tags", [((DOT1Q, 5),), ((DOT1AD, 6),), ((DOT1AD, 6), (DOT1Q, 5))], ids=["q", "ad", "qinq"]
)
Tags = tuple[tuple[int, int], ...]


def opening(source: str, port: int = 50000) -> bytes:
    return ip_packet(source, V4.far, socket.IPPROTO_TCP, tcp_segment((source, port), WEB, SYN))


@pytest.mark.usefixtures("no_leak")
@tagged
def test_a_tagged_frame_from_behind_is_left_alone(host: Applied, tags: Tags) -> None:
    ends = mac_of(host.lan, "eth0"), mac_of(host.lab.host, "lan0")
    with listener(host, V4) as proxy, counting(host) as added:
        with sender_of(host.lan, "eth0") as wire:
            wire.send(frame(*ends, opening(V4.behind), tags))
        assert hears_nothing(proxy)
    assert added == {("lan0", "vlan"): 1}


@tagged
def test_a_tagged_frame_goes_out_as_it_is(host: Applied, tags: Tags) -> None:
    ends = mac_of(host.lab.host, "wan0"), mac_of(host.lab.net, "isp0")
    sent = frame(*ends, opening(V4.host), tags)
    with host.lab.net.entered():
        far = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    with far, listener(host, V4) as proxy, counting(host) as added:
        far.bind(("isp0", 3))
        far.settimeout(PATIENCE)
        with sender_of(host.lab.host, "wan0") as wire:
            wire.send(sent)
        # The receiving stack keeps the outer tag beside the frame.
        assert far.recv(2000) == sent[:12] + sent[16:]
        assert hears_nothing(proxy)
    assert added == {("wan0", "vlan"): 1}


def test_the_same_frame_without_a_tag_is_taken(host: Applied) -> None:
    """So it is the tag that made the difference."""
    ends = mac_of(host.lan, "eth0"), mac_of(host.lab.host, "lan0")
    with listener(host, V4), counting(host) as added:
        with sender_of(host.lan, "eth0") as wire:
            wire.send(frame(*ends, opening(V4.behind)))
    assert added["lan0", "new"] == 1


# IEEE 802.1Q, 9.6: id 0 says that the tag carries a priority and the frame is in no VLAN.
PRIORITIES: list[Tags] = [
    ((DOT1Q, 0),),
    ((DOT1Q, 0xE000),),
    ((DOT1AD, 0x2000),),
    ((DOT1Q, 0x1000),),
]
priority = pytest.mark.parametrize(
    "tags", PRIORITIES, ids=["none", "highest", "service", "may be dropped"]
)


@pytest.mark.usefixtures("no_leak")
@priority
def test_a_priority_is_no_vlan_and_its_frame_is_taken(host: Applied, tags: Tags) -> None:
    ends = mac_of(host.lan, "eth0"), mac_of(host.lab.host, "lan0")
    source = (V4.behind, 51000 + PRIORITIES.index(tags))
    question = datagram(source, (V4.far, 53), b"question")
    with listener(host, V4), listener(host, V4, socket.SOCK_DGRAM) as udp, counting(host) as added:
        with sender_of(host.lan, "eth0") as wire:
            wire.send(frame(*ends, opening(*source), tags))
            wire.send(frame(*ends, question, tags))
        came = receive(udp)
    assert (came.data, came.source, came.target) == (b"question", source, (V4.far, 53))
    # Nobody has opened the connection: the reset of the client's stack is intercepted as well.
    assert set(added) == {("lan0", "new"), ("lan0", "intercepted")}
    assert added["lan0", "new"] == 2


@priority
def test_a_frame_with_a_priority_is_refused_without(host: Applied, tags: Tags) -> None:
    """As the kernel answers."""
    ends = mac_of(host.lan, "eth0"), mac_of(host.lab.host, "lan0")
    with sender_of(host.lan, "eth0", hears=True) as wire, counting(host) as added:
        wire.settimeout(PATIENCE)
        wire.send(frame(*ends, opening(V4.behind), tags))
        far = socket.inet_aton(V4.far)
        came = wire.recvmsg(2000, 200)
        while came[0][26:30] != far:
            came = wire.recvmsg(2000, 200)
    data, (auxiliary, *_), _, _ = came
    assert data[12:14] == b"\x08\x00"
    assert data[47] == RST | ACK
    # struct tpacket_auxdata: tp_vlan_tci, and in tp_status whether there is one.
    assert added == {("lan0", "refused"): 1}
    assert not struct.unpack_from("=I", auxiliary[2])[0] & VLAN_VALID


@priority
def test_a_visitor_whose_frames_have_a_priority_is_answered(host: Applied, tags: Tags) -> None:
    """Else this host's answer would be a flow of its own."""
    ends = mac_of(host.lab.net, "isp0"), mac_of(host.lab.host, "wan0")
    where = (V4.far, 50000 + PRIORITIES.index(tags))
    with (
        host.lab.host.socket(kind=socket.SOCK_DGRAM) as service,
        host.lab.net.socket(kind=socket.SOCK_DGRAM) as visitor,
        listener(host, V4, socket.SOCK_DGRAM),
        sender_of(host.lab.net, "isp0") as wire,
    ):
        service.bind((V4.host, 5300))
        visitor.bind(where)
        wire.send(frame(*ends, datagram(where, (V4.host, 5300), b"question"), tags))
        assert service.recvfrom(100) == (b"question", where)
        service.sendto(b"answer", where)
        assert visitor.recv(100) == b"answer"
