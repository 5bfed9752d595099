"""Tagged frames belong to a VLAN device, and are none of its parent's business."""

from __future__ import annotations

import socket

import pytest

from tests.lab.counters import counting
from tests.lab.streams import hears_nothing
from tests.traffic.frames import (
    DOT1AD,
    DOT1Q,
    SYN,
    frame,
    ip_packet,
    mac_of,
    sender_of,
    tcp_segment,
)
from tests.traffic.sockets import listener
from tests.traffic.support import V4, Applied

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
WEB = (V4.far, 80)
tagged = pytest.mark.parametrize(
    "tags", [((DOT1Q, 5),), ((DOT1AD, 6),), ((DOT1AD, 6), (DOT1Q, 5))], ids=["q", "ad", "qinq"]
)
Tags = tuple[tuple[int, int], ...]


def opening(source: str) -> bytes:
    return ip_packet(source, V4.far, socket.IPPROTO_TCP, tcp_segment((source, 50000), WEB, SYN))


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
        far.settimeout(5)
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
