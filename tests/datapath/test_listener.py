from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.kernel.host.release import linux_version
from tests.datapath import support
from tests.datapath.packets import ACK, RST
from tests.datapath.support import PROXY, WEB, Applied
from tests.lab import Capture
from tests.lab.counters import counting, read_counters
from tests.lab.needed import need_shared_ports
from tests.lab.patience import eventually
from tests.lab.streams import hears_nothing

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
both = pytest.mark.parametrize("device", ["", "wan0"], ids=["unbound", "bound"])


@pytest.fixture
def wire(host: Applied) -> Iterator[Capture]:
    with Capture(host.lab.net, "isp0") as made:
        yield made


@both
@pytest.mark.parametrize("options", [b"", b"\x01" * 40], ids=["plain", "ip-options"])
def test_without_a_listener_connections_are_refused_at_once(
    host: Applied, wire: Capture, device: str, options: bytes
) -> None:
    before = host.lab.host.netstat("TCPSynRetrans")
    with counting(host) as added:
        for _ in range(5):
            with host.client(device) as near:
                near.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, options)
                with pytest.raises(ConnectionRefusedError):
                    near.connect(WEB)
    assert host.lab.host.netstat("TCPSynRetrans") == before
    assert wire.packets == []
    assert added == {("wan0", "refused"): 5}


def folded(data: bytes) -> int:
    """The internet checksum of data that holds its own: 0 if it is right."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


@both
@pytest.mark.parametrize("options", [b"", b"\x01" * 8], ids=["plain", "ip-options"])
def test_the_refusal_is_a_well_formed_reset(host: Applied, device: str, options: bytes) -> None:
    with host.lab.host.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("wan0", 0x0800))  # ETH_P_IP: what comes in, not what goes out
        with host.client(device) as near:
            near.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, options)
            with pytest.raises(ConnectionRefusedError):
                near.connect(WEB)
        packet = wire.recv(2000)[14:]
    header = 20 + len(options)
    assert len(packet) == header + 20
    assert int.from_bytes(packet[2:4]) == len(packet)
    assert packet[12:20] == socket.inet_aton(WEB[0]) + socket.inet_aton("10.77.0.2")
    assert folded(packet[:header]) == 0
    pseudo = packet[12:20] + struct.pack("!HH", socket.IPPROTO_TCP, 20)
    assert folded(pseudo + packet[header:]) == 0
    assert int.from_bytes(packet[header : header + 2]) == WEB[1]
    assert packet[header + 13] == RST | ACK


@both
def test_connections_work_at_once_when_the_proxy_comes_goes_and_comes_back(
    host: Applied, wire: Capture, device: str
) -> None:
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            host.connect(device)
        with support.listener(host) as proxy:
            near, far = host.pair(proxy, device)
            near.sendall(b"x")
            assert far.recv(1) == b"x"
        # The listener is gone; what it accepted is not.
        near.sendall(b"y")
        assert far.recv(1) == b"y"
        near.close()
        far.close()
    assert wire.packets == []


@both
def test_one_socket_may_try_until_the_proxy_is_there(host: Applied, device: str) -> None:
    with host.client(device) as near:
        near.settimeout(None)  # with a timeout the second connect would fail, proxy or not
        with pytest.raises(ConnectionRefusedError):
            near.connect(WEB)
        with support.listener(host) as proxy:
            near.connect(WEB)
            far, _ = proxy.accept()
            far.close()


@pytest.mark.parametrize(
    "where",
    [("127.0.0.2", 9040), ("10.77.0.2", 9040), ("127.0.0.1", 9041), ("127.0.0.1", 80)],
    ids=["address", "own-address", "port", "original-port"],
)
def test_a_listener_elsewhere_is_not_the_proxy(host: Applied, where: tuple[str, int]) -> None:
    with support.listener(host, where) as other:
        with pytest.raises(ConnectionRefusedError):
            host.connect()
        with support.listener(host) as proxy:
            near, far = host.pair(proxy)
            near.close()
            far.close()
        assert hears_nothing(other)


@both
@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_a_listener_on_all_addresses_is_the_proxy_too(
    host: Applied, device: str, address: str
) -> None:
    with support.listener(host, (address, PROXY[1])) as proxy:
        near = host.connect(device)
        far, peer = proxy.accept()
        with near, far:
            assert far.getsockname()[:2][0].endswith("1.1.1.1")
            assert peer[1] == near.getsockname()[1]
            near.sendall(b"x")
            assert far.recv(1) == b"x"


@both
def test_a_listener_on_the_very_address_comes_before_one_on_all(host: Applied, device: str) -> None:
    need_shared_ports()
    with support.listener(host, ("0.0.0.0", PROXY[1]), shared=True) as wide:
        with support.listener(host, shared=True) as exact:
            near, far = host.pair(exact, device)
            near.close()
            far.close()
        assert hears_nothing(wide)


@both
def test_before_linux_6_6_a_listener_that_shares_its_port_gets_nothing(
    host: Applied, device: str
) -> None:
    """The kernel refuses its socket, so the packet is dropped, and counted."""
    with support.listener(host, shared=True) as alone, host.client(device) as near:
        near.settimeout(0)
        before = read_counters(host)["wan0", "assign_failed"]
        near.connect_ex(WEB)
        if linux_version() >= (6, 6):
            far, _ = alone.accept()
            far.close()
        else:
            eventually(lambda: read_counters(host)["wan0", "assign_failed"] > before)
            assert hears_nothing(alone)


@both
def test_a_reuseport_group_shares_the_connections(host: Applied, device: str) -> None:
    need_shared_ports()
    with contextlib.ExitStack() as held:
        group = [held.enter_context(support.listener(host, shared=True)) for _ in range(4)]
        ends = [held.enter_context(host.connect(device)) for _ in range(60)]
        sources = {near.getsockname() for near in ends}
        served = [0] * len(group)
        for number, member in enumerate(group):
            member.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                while True:
                    far, peer = member.accept()
                    held.enter_context(far)
                    sources.remove(peer)
                    served[number] += 1
        assert not sources
        assert min(served) > 0, served


def test_a_client_that_also_talks_to_the_proxy_itself_is_served_all_the_same(
    host: Applied, proxy: socket.socket
) -> None:
    """Its source address and port, with the listener's, are those of a connected socket."""
    with host.client(port=44000, address="10.77.0.2") as plain:
        plain.connect(PROXY)
        accepted, _ = proxy.accept()
        with accepted, host.client(port=44000, address="10.77.0.2") as near:
            near.connect(WEB)
            far, _ = proxy.accept()
            with far:
                assert far.getsockname() == WEB


def test_a_proxy_address_that_is_not_loopback_works(fresh: Applied) -> None:
    fresh.site.write_text(
        fresh.site.read_text().replace("{port: 9040}", "{tcp: {address: 10.77.0.2, port: 9055}}")
    )
    fresh.apply()
    with support.listener(fresh, ("10.77.0.2", 9055)) as proxy:
        for device in ("", "wan0"):
            near, far = fresh.pair(proxy, device)
            near.sendall(b"x")
            assert far.recv(1) == b"x"
            near.close()
            far.close()


@pytest.mark.parametrize("address", ["10.9.9.9", "0.0.0.0"])
@both
def test_a_transparent_listener_may_have_an_address_that_is_not_this_hosts(
    fresh: Applied, device: str, address: str
) -> None:
    """Or all of them."""
    site = fresh.site.read_text()
    listener = f"{{tcp: {{address: {address}, port: 9040}}}}"
    fresh.site.write_text(site.replace("{port: 9040}", listener))
    fresh.apply()
    with support.listener(fresh, (address, 9040)) as proxy:
        near, far = fresh.pair(proxy, device)
        with near, far:
            assert far.getsockname() == WEB
            near.sendall(b"hello")
            assert far.recv(5) == b"hello"
            far.sendall(b"world")
            assert near.recv(5) == b"world"
