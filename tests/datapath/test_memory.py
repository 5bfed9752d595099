"""Who remembers that a connection is intercepted: its sockets, and a table that forgets."""

from __future__ import annotations

import socket
import sys

import pytest

from netplan_tproxy.datapath import layouts
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from tests.datapath.support import WEB, Applied, replies, reply_key
from tests.lab import Capture
from tests.lab.counters import counting
from tests.lab.streams import FIN_WAIT_2, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
both = pytest.mark.parametrize("device", ["", "wan0"], ids=["unbound", "bound"])


def test_the_table_holds_a_bound_clients_connection_as_long_as_it_speaks(
    host: Applied, proxy: socket.socket
) -> None:
    with host.lab.host.entered():
        ifindex = socket.if_nametoindex("wan0").to_bytes(4, sys.byteorder)
    near, far = host.pair(proxy, "wan0")
    with near, far, replies(host) as table:
        key = reply_key(near)
        assert bpf_maps.lookup(table, key, 4) == ifindex
        assert bpf_maps.delete(table, key)
        near.sendall(b"x")
        assert far.recv(1) == b"x"
        assert bpf_maps.lookup(table, key, 4) == ifindex


def test_any_other_connection_is_noted_when_it_begins_and_when_it_ends(
    host: Applied, proxy: socket.socket
) -> None:
    wipe_recent(host)
    near, far = host.pair(proxy)
    with near, far:
        noted = wipe_recent(host)
        assert len(noted) == 1
        near.sendall(b"x")
        assert far.recv(1) == b"x"
        assert wipe_recent(host) == []
        near.shutdown(socket.SHUT_WR)
        assert far.recv(1) == b""
        assert wipe_recent(host) == noted


def wipe_recent(host: Applied) -> list[tuple[int, bytes]]:
    """Empty the slots of the unbound clients' table, as others do in time; give what was there."""
    found = []
    with bpf_maps.open_pinned(str(host.pins / "maps" / layouts.RECENT.pin)) as fd:
        for slot in range(layouts.RECENT.max_entries):
            key = slot.to_bytes(4, sys.byteorder)
            value = bpf_maps.lookup(fd, key, 8)
            if value and any(value):
                bpf_maps.update(fd, key, bytes(8))
                found.append((slot, value))
    return found


def test_the_proxys_socket_knows_its_bound_client_although_the_table_does_not(
    host: Applied, proxy: socket.socket
) -> None:
    near, far = host.pair(proxy, "wan0")
    with near, far, replies(host) as table:
        far.sendall(b"first")
        assert near.recv(5) == b"first"
        assert bpf_maps.delete(table, reply_key(near))
        with counting(host) as added:
            far.sendall(b"second")
        assert added["wan0", "reply"] == 1
        assert near.recv(6) == b"second"


@pytest.mark.parametrize(("first", "then"), [("", "wan0"), ("wan0", "")])
def test_a_client_may_be_bound_and_let_loose_while_it_is_connected(
    host: Applied, proxy: socket.socket, first: str, then: str
) -> None:
    near, far = host.pair(proxy, first)
    with near, far:
        for device in (first, then, first, then):
            near.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            with counting(host) as added:
                for _ in range(3):
                    near.sendall(b"question")
                    assert far.recv(10) == b"question"
                    far.sendall(b"answer")
                    assert near.recv(10) == b"answer"
            if device:
                assert added["wan0", "reply"] >= 3


@pytest.mark.parametrize("name", ["tcp_syncookies", "tcp_fastopen"])
def test_a_handshake_of_another_kind_is_answered_where_the_client_listens(
    host: Applied, proxy: socket.socket, name: str
) -> None:
    """What is learnt of a bound client must not stick to the listener."""
    sysctl = f"net.ipv4.{name}"
    usual = host.lab.host.sysctl(sysctl)
    # Always cookies; fast open on both sides, without its own cookie, for all listeners.
    host.lab.host.sysctl(sysctl, 2 if name == "tcp_syncookies" else 0x607)
    try:
        for device in ("wan0", "", "wan0", ""):
            with host.client(device) as near, counting(host) as added:
                near.settimeout(None)
                near.sendto(b"early", socket.MSG_FASTOPEN, WEB)
                far, peer = proxy.accept()
                with far:
                    assert peer == near.getsockname()
                    assert far.recv(5) == b"early"
            assert (added["wan0", "reply"] > 0) == bool(device)
    finally:
        host.lab.host.sysctl(sysctl, usual)


@both
def test_a_closed_clients_last_packet_does_not_leak_although_the_table_has_lost_it(
    host: Applied, proxy: socket.socket, device: str
) -> None:
    near, far = host.pair(proxy, device)
    near.shutdown(socket.SHUT_WR)
    wait_for(FIN_WAIT_2, near)
    key = reply_key(near)
    near.close()
    with Capture(host.lab.net, "isp0") as wire, replies(host) as table, counting(host) as added:
        assert wipe_recent(host) if not device else bpf_maps.delete(table, key)
        far.close()
        assert wire.packets == []
    assert added["wan0", "intercepted"] == 1
