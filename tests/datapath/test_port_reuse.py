from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.datapath import build
from tests.datapath import support
from tests.datapath.support import Applied
from tests.lab import Capture
from tests.lab.counters import counting
from tests.lab.streams import CLOSE, FIN_WAIT_2, hears_nothing, reset, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
both = pytest.mark.parametrize("device", ["", "wan0"], ids=["unbound", "bound"])
TRIES = 10


def reconnect(host: Applied, proxy: socket.socket, device: str, port: int) -> float:
    """Let the proxy close first, use the client's port again at once; seconds it took.

    That no packet had to be sent again is told by TCPSynRetrans, on a busy machine too.
    """
    near, far = host.pair(proxy, device, port=port)
    far.close()
    assert near.recv(1) == b""
    # In LAST_ACK it would keep its port: connect(2) says EADDRNOTAVAIL, with or without a proxy.
    near.shutdown(socket.SHUT_WR)
    wait_for(CLOSE, near)
    near.close()
    start = time.monotonic()
    near = host.connect(device, port=port)
    took = time.monotonic() - start
    far, peer = proxy.accept()
    assert peer == near.getsockname() == ("10.77.0.2", port)
    assert far.getsockname() == ("1.1.1.1", 80)
    far.sendall(b"fresh")
    assert near.recv(5) == b"fresh"
    # No TIME_WAIT is left for the next try.
    reset(near)
    far.close()
    return took


@both
def test_a_port_may_be_used_again_while_the_proxy_is_in_time_wait(
    host: Applied, proxy: socket.socket, device: str
) -> None:
    before = host.lab.host.netstat("TCPSynRetrans")
    with Capture(host.lab.net, "isp0") as wire, counting(host) as added:
        took = [reconnect(host, proxy, device, 42000) for _ in range(TRIES)]
        assert wire.arrived("tcp") == []
    assert min(took) < 0.05
    assert host.lab.host.netstat("TCPSynRetrans") == before
    assert added["wan0", "time_wait"] == TRIES
    assert added["wan0", "new"] == 2 * TRIES


@pytest.mark.parametrize("name", ["tcp_timestamps", "tcp_sack", "tcp_tw_reuse"])
def test_it_takes_no_option_of_tcp_for_that(fresh: Applied, name: str) -> None:
    fresh.lab.host.sysctl(f"net.ipv4.{name}", 0)
    with support.listener(fresh) as proxy, counting(fresh) as added:
        for device in ("", "wan0"):
            took = [reconnect(fresh, proxy, device, 42005) for _ in range(TRIES)]
            assert min(took) < 1
    assert added["wan0", "time_wait"] == 2 * TRIES
    assert fresh.lab.host.netstat("TCPSynRetrans") == 0


@pytest.fixture
def silent(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Applied]:
    """A host whose kernel tells nothing of its types."""
    monkeypatch.setattr(build, "waits_for_offset", lambda: None)
    with support.applied(tmp_path_factory.mktemp("site")) as made:
        yield made


@both
def test_without_type_information_it_takes_two_ticks(silent: Applied, device: str) -> None:
    before = silent.lab.host.netstat("TCPSynRetrans")
    with support.listener(silent) as proxy, counting(silent) as added:
        took = [reconnect(silent, proxy, device, 42000) for _ in range(TRIES)]
    assert min(took) < 0.05
    assert silent.lab.host.netstat("TCPSynRetrans") == before + TRIES
    assert added["wan0", "time_wait"] == TRIES


def test_a_reset_that_is_not_heeded_is_not_sent_again_and_again(fresh: Applied) -> None:
    """RFC 1337: such a host waits for the end of TIME_WAIT, whoever resets."""
    fresh.lab.host.sysctl("net.ipv4.tcp_rfc1337", 1)
    with support.listener(fresh) as proxy, counting(fresh) as added:
        near, far = fresh.pair(proxy, port=42004)
        far.close()
        near.close()
        near = fresh.client(port=42004)
        near.settimeout(0.5)
        before = fresh.lab.host.netstat("TCPSynRetrans")
        with near, pytest.raises(TimeoutError):
            near.connect(support.WEB)
        sent = 1 + fresh.lab.host.netstat("TCPSynRetrans") - before
    assert added["wan0", "time_wait"] == 2 * sent
    assert added["wan0", "new"] == 1


@both
def test_a_wildcard_server_of_the_original_port_does_not_get_that_connection(
    host: Applied, proxy: socket.socket, device: str
) -> None:
    """TIME_WAIT hands a SYN to any listener that fits the packet's own destination."""
    before = host.lab.host.netstat("TCPSynRetrans")
    with support.listener(host, ("0.0.0.0", 80)) as server:
        took = [reconnect(host, proxy, device, 42001) for _ in range(TRIES)]
        assert hears_nothing(server)
    assert min(took) < 0.05
    assert host.lab.host.netstat("TCPSynRetrans") == before


@both
def test_a_port_may_be_used_again_after_a_reset(
    host: Applied, proxy: socket.socket, device: str
) -> None:
    took = []
    before = host.lab.host.netstat("TCPSynRetrans")
    for _ in range(TRIES):
        start = time.monotonic()
        near, far = host.pair(proxy, device, port=42002)
        took.append(time.monotonic() - start)
        reset(near)
        far.close()
    assert min(took) < 0.05
    assert host.lab.host.netstat("TCPSynRetrans") == before


def test_a_port_may_be_used_again_for_a_direct_connection(
    host: Applied, proxy: socket.socket
) -> None:
    """What was remembered of the intercepted one must not catch the end of the direct one."""
    near, far = host.pair(proxy, port=42003)
    reset(near)
    far.close()
    with host.lab.net.socket() as server, Capture(host.lab.net, "isp0") as wire:
        server.bind(("1.1.1.1", 80))
        server.listen(4)
        near = host.connect(port=42003, mark=2)
        far, _ = server.accept()
        near.shutdown(socket.SHUT_WR)
        wait_for(FIN_WAIT_2, near)
        near.close()
        with counting(host) as added:
            far.close()  # TIME_WAIT answers, and it is no full socket
            wire.wait_for(lambda packet: not packet.arrived and "F" in packet.flags)
            assert [packet.flags for packet in wire.arrived("tcp")][-2:] == ["AF", "A"]
    assert added == {("wan0", "untracked"): 1}
