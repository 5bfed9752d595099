"""Bulk, half closes and resets, with segmentation offloads and without."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest

from tests.lab.patience import PATIENCE
from tests.lab.streams import read_exactly
from tests.traffic.offloads import SGSO, STSO, STXCSUM, get_offload, set_offloads
from tests.traffic.sockets import exchange, listener
from tests.traffic.support import V4, Applied, Family, Sender

pytestmark = [pytest.mark.lab, pytest.mark.bpf, pytest.mark.usefixtures("no_leak")]

BULK = 20 << 20


@pytest.fixture
def no_offloads(host: Applied, sender: Sender) -> Iterator[None]:
    places = [(host.lab.host, sender.interface)]
    if sender.role == "lan":
        places.append((host.lan, "eth0"))
    for place in places:
        set_offloads(*place, on=False)
        assert not any(get_offload(*place, each) for each in (STXCSUM, STSO, SGSO))
    yield
    for place in places:
        set_offloads(*place, on=True)


def test_bulk_goes_both_ways_at_once(
    host: Applied, family: Family, sender: Sender, tcp: socket.socket
) -> None:
    near, far = host.pair(tcp, sender, family)
    with near, far:
        exchange(near, far, BULK)


@pytest.mark.usefixtures("no_offloads")
def test_bulk_goes_both_ways_without_offloads(
    host: Applied, family: Family, sender: Sender, tcp: socket.socket
) -> None:
    near, far = host.pair(tcp, sender, family)
    with near, far:
        exchange(near, far, BULK)


def test_either_half_may_end_first(
    host: Applied, family: Family, sender: Sender, tcp: socket.socket
) -> None:
    for first in (0, 1):
        pair = host.pair(tcp, sender, family)
        with pair.near, pair.far:
            early, late = pair[first], pair[1 - first]
            early.sendall(b"all I have")
            early.shutdown(socket.SHUT_WR)
            assert read_exactly(late, 100) == b"all I have"
            late.sendall(b"but I have more")
            late.close()
            assert read_exactly(early, 100) == b"but I have more"


def sends(end: socket.socket) -> int:
    """How much of 64 KiB there is room for; 0 if for nothing."""
    try:
        return end.send(bytes(1 << 16))
    except BlockingIOError:
        return 0


@pytest.mark.parametrize("who", [0, 1], ids=["client", "proxy"])
def test_a_reset_in_the_middle_reaches_the_other_end(
    host: Applied, family: Family, sender: Sender, tcp: socket.socket, who: int
) -> None:
    pair = host.pair(tcp, sender, family)
    pair[1 - who].settimeout(0)
    while sends(pair[1 - who]):
        pass
    pair[who].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    pair[who].close()
    with pair[1 - who] as left:
        left.settimeout(PATIENCE)
        with pytest.raises(ConnectionResetError):
            left.recv(1)


@pytest.mark.parametrize(
    "options",
    [b"\x01" * 4, b"\x07\x0b\x04" + bytes(9), b"\x44\x0c\x05\x00" + bytes(8)],
    ids=["no-operation", "record-route", "timestamp"],
)
def test_packets_with_ip_options_are_carried(host: Applied, sender: Sender, options: bytes) -> None:
    with listener(host, V4) as proxy, host.client(sender, V4) as near:
        near.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, options)
        near.connect((V4.far, 80))
        far, _ = proxy.accept()
        with far:
            assert far.getsockname() == (V4.far, 80)
            far.settimeout(PATIENCE)
            exchange(near, far, 1 << 20)
    with host.client(sender, V4) as near:
        near.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, options)
        with pytest.raises(ConnectionRefusedError):
            near.connect((V4.far, 80))


def test_a_stalled_reader_stalls_the_sender(
    host: Applied, family: Family, sender: Sender, tcp: socket.socket
) -> None:
    """Buffers end somewhere: TCP's own flow control holds across the interception."""
    for first in (0, 1):
        pair = host.pair(tcp, sender, family)
        with pair.near, pair.far:
            pair[first].settimeout(0)
            sent = 0
            while (more := sends(pair[first])) and sent < 64 << 20:
                sent += more
            assert 0 < sent < 64 << 20
            assert len(read_exactly(pair[1 - first], sent)) == sent
