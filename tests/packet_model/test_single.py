"""Frames that parsers are known to stumble over, one by one."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections import Counter

import pytest

from tests.lab import Capture
from tests.lab.testrun import Ran
from tests.packet_model import answers
from tests.packet_model.settings import SETTINGS
from tests.packet_model.stage import Stage
from tests.packet_model.terms import OK, REDIRECT, SHOT, TO_CLIENT, UNSPEC, Input, handed_over
from tests.packet_model.wire import (
    ACK,
    DESTINATION,
    FRAGMENT,
    ICMP,
    IPV4,
    IPV6,
    RST,
    SYN,
    TCP,
    UDP,
    read,
)

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

NEAR, FAR = ("10.79.0.2", "1.1.1.1"), ("fd79::2", "2606:4700:4700::1111")
DATAGRAM = struct.pack("!HHHH", 4000, 53, 12, 0) + b"data"


@pytest.fixture(autouse=True)
def nobody_listens(stage: Stage) -> None:
    stage.apply(SETTINGS[0])


def segment(flags: int) -> bytes:
    return struct.pack("!HHIIBBHHH", 4000, 80, 7, 1234567, 5 << 4, flags, 1024, 0, 0)


def v4(protocol: int, data: bytes, *, source: str = NEAR[0], where: int = 0) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), 1, where, 64, protocol, 0)
    return head + socket.inet_aton(source) + socket.inet_aton(NEAR[1]) + data


def v6(protocol: int, data: bytes) -> bytes:
    ends = b"".join(ipaddress.ip_address(text).packed for text in FAR)
    return struct.pack("!IHBB", 6 << 28, len(data), protocol, 64) + ends + data


def part(following: int, offset: int, more: int, data: bytes) -> bytes:
    return struct.pack("!BBHI", following, 0, offset << 3 | more, 99) + data


def run(stage: Stage, packet: bytes, *, mac: bytes = b"", **more: int) -> tuple[Ran, list[str]]:
    """A packet from behind ``lan0``, and what it was counted as."""
    protocol = IPV6 if packet[0] >> 4 == 6 else IPV4
    mac = mac or stage.macs["lan_ingress"]
    frame = mac + b"\2\0\0\0\0\1" + protocol.to_bytes(2, "big") + packet
    ifindex, mark, magic = stage.ifindexes["lan_ingress"], more.get("mark", 0), more.get("magic", 0)
    cb = handed_over(magic, ifindex) if magic else (0, 0, 0, 0, 0)
    given = Input("lan_ingress", frame, ifindex, mark, cb=cb)
    before = stage.counters()
    with stage.lab.host.entered():
        ran = stage.run(given)
    added: Counter[tuple[int, str, str]] = stage.counters() - before
    return ran, [outcome for _, outcome, what in added if what == "packets"]


@pytest.mark.parametrize("following", [UDP, DESTINATION, 255])
def test_later_fragments_go_with_the_first_whatever_their_next_header(
    stage: Stage, following: int
) -> None:
    options = struct.pack("!BB6x", UDP, 0)
    first, _ = run(stage, v6(FRAGMENT, part(DESTINATION, 0, 1, options + DATAGRAM)))
    later, counted = run(stage, v6(FRAGMENT, part(following, 2, 0, b"the rest")))
    assert (first.retval, later.retval) == (SHOT, SHOT)
    assert counted == ["fragment_dropped"]


@pytest.mark.parametrize("version", [4, 6])
def test_a_datagram_that_passes_takes_the_number_over(stage: Stage, version: int) -> None:
    """Its later fragments are not those of the datagram before it."""

    def fragment(offset: int, more: int) -> bytes:
        if version == 4:
            return v4(UDP, DATAGRAM, where=more << 13 | offset)
        return v6(FRAGMENT, part(UDP, offset, more, DATAGRAM))

    counted = []
    for mark in (0, 2):
        for offset, more in ((0, 1), (1, 0)):
            counted += run(stage, fragment(offset, more), mark=mark)[1]
    assert counted == ["fragment_dropped"] * 2 + ["fragment"] * 2


def test_a_fragment_of_a_fragment_is_a_fragment(stage: Stage) -> None:
    inner = part(UDP, 0, 0, DATAGRAM)
    ran, counted = run(stage, v6(FRAGMENT, part(FRAGMENT, 0, 1, inner)))
    assert (ran.retval, counted) == (SHOT, ["fragment_dropped"])


@pytest.mark.parametrize(("headers", "outcome"), [(6, "refused"), (7, "unreadable")])
def test_six_extension_headers_are_walked(stage: Stage, headers: int, outcome: str) -> None:
    data = DATAGRAM
    for number in range(headers):
        data = struct.pack("!BB6x", DESTINATION if number else UDP, 0) + data
    assert run(stage, v6(DESTINATION, data))[1] == [outcome]


@pytest.mark.parametrize("packet", [v4(TCP, segment(SYN)), v6(TCP, segment(SYN))])
def test_a_segment_of_a_flow_whose_proxy_died_is_reset_where_the_client_is(
    stage: Stage, packet: bytes
) -> None:
    run(stage, packet)
    asked = packet[: -len(segment(SYN))] + segment(ACK)
    ran, counted = run(stage, asked)
    found = read(IPV6 if packet[0] >> 4 == 6 else IPV4, asked)
    assert not isinstance(found, str)
    assert (ran.retval, counted) == (REDIRECT, ["refused"])
    assert answers.wrong(found, asked, ran.data[14:]) == ""


def test_a_reset_is_never_answered(stage: Stage) -> None:
    ran, counted = run(stage, v4(TCP, segment(SYN | RST)))
    assert (ran.retval, counted) == (UNSPEC, ["untracked"])


@pytest.mark.parametrize("kind", [3, 0, 11])
def test_an_error_about_the_proxys_answer_is_the_proxys(stage: Stage, kind: int) -> None:
    """The quoted answer, turned round, is the flow that was judged before; other messages pass."""
    run(stage, v4(UDP, DATAGRAM))
    ends = socket.inet_aton(NEAR[1]) + socket.inet_aton(NEAR[0])
    quoted = struct.pack("!BBHHHBBH", 0x45, 0, 28, 1, 0, 64, UDP, 0) + ends
    quoted += struct.pack("!HHHH", 53, 4000, 8, 0)
    ran, counted = run(stage, v4(ICMP, struct.pack("!BBHI", kind, 3, 0, 0) + quoted))
    assert (ran.retval, counted) == ((OK, ["icmp"]) if kind == 3 else (UNSPEC, ["other_protocol"]))


@pytest.mark.parametrize("source", ["224.0.0.1", "255.255.255.255", "127.0.0.1", "0.0.0.0"])
def test_a_source_that_is_no_single_host_is_never_answered(stage: Stage, source: str) -> None:
    ran, counted = run(stage, v4(UDP, DATAGRAM, source=source))
    assert (ran.retval, counted) == (UNSPEC, ["bypass_address"])


@pytest.mark.parametrize(
    ("mac", "outcome"),
    [(b"\2\0\0\0\0\x99", "not_forwarding"), (b"\xff" * 6, "bypass_address")],
)
def test_a_frame_for_another_machine_is_never_answered(
    stage: Stage, mac: bytes, outcome: str
) -> None:
    ran, counted = run(stage, v4(TCP, segment(SYN)), mac=mac)
    assert (ran.retval, counted) == (UNSPEC, [outcome])


def test_what_our_own_programs_send_in_is_taken_and_not_counted(stage: Stage) -> None:
    ran, counted = run(stage, v4(TCP, segment(SYN)), magic=TO_CLIENT)
    assert (ran.retval, ran.skb.cb[0], counted) == (OK, 0, [])


def test_a_broadcast_of_this_host_s_own_leaves(stage: Stage) -> None:
    lab = stage.lab
    with lab.host.socket(kind=socket.SOCK_DGRAM) as sender, Capture(lab.net, "isp0") as seen:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sender.sendto(b"anybody?", ("10.77.0.255", 137))
        # The kernel reports its multicast groups whenever it likes.
        packets = [packet for packet in seen.packets if packet.dst != "ff02::16"]
    assert [(packet.dst, packet.payload) for packet in packets] == [("10.77.0.255", b"anybody?")]
