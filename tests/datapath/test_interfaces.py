from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.datapath import support
from tests.datapath.support import FAR, Applied
from tests.lab import Capture
from tests.lab.counters import counting
from tests.lab.streams import hears_nothing, reset

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Applied]:
    with support.applied(tmp_path_factory.mktemp("site"), wans=2) as made:
        yield made


def talk(host: Applied, proxy: socket.socket, device: str) -> None:
    near, far = host.pair(proxy, device)
    with near, far:
        near.sendall(b"question")
        assert far.recv(8) == b"question"
        far.sendall(b"answer")
        assert near.recv(6) == b"answer"


@pytest.mark.parametrize(("device", "other"), [("wan0", "wan1"), ("wan1", "wan0")])
def test_each_interface_serves_what_is_bound_to_it_and_counts_it_as_its_own(
    host: Applied, proxy: socket.socket, device: str, other: str
) -> None:
    with counting(host) as added:
        talk(host, proxy, device)
    assert added[device, "new"] == 1
    assert added[device, "intercepted"] > added[device, "new"]
    assert added[device, "reply"] > 0
    assert not [key for key in added if key[0] == other]


def test_an_unbound_client_is_counted_where_its_route_leads(
    host: Applied, proxy: socket.socket
) -> None:
    with counting(host) as added:
        talk(host, proxy, "")
    assert {device for device, _ in added} == {"wan0"}
    assert added["wan0", "reply"] == 0


def test_clients_bound_to_both_may_use_one_port_at_once(
    host: Applied, proxy: socket.socket
) -> None:
    pairs = [host.pair(proxy, device, port=41000) for device in ("wan0", "wan1")]
    try:
        sources = [far.getpeername() for _, far in pairs]
        assert sources == [("10.77.0.2", 41000), ("10.78.0.2", 41000)]
        for number, (near, far) in enumerate(pairs):
            far.sendall(bytes([number]))
            assert near.recv(1) == bytes([number])
    finally:
        for near, far in pairs:
            near.close()
            far.close()


def test_a_client_that_leaves_its_device_gets_its_replies_without_it(
    host: Applied, proxy: socket.socket
) -> None:
    """The same addresses and ports, first bound to the device and then not."""
    for device in ("wan0", ""):
        near, far = host.pair(proxy, device, port=41001)
        with counting(host) as added:
            far.sendall(b"reply")
            assert near.recv(5) == b"reply"
        reset(near)
        far.close()
        assert (added["wan0", "reply"] > 0) == bool(device)


@pytest.mark.parametrize("device", ["wan0", "lo"])
def test_interception_goes_on_after_the_link_was_down(
    host: Applied, proxy: socket.socket, device: str
) -> None:
    near, far = host.pair(proxy, "wan0")
    with near, far, Capture(host.lab.net, "isp0") as wire:
        lines = [f"link set {device} down", f"link set {device} up"]
        if device == "wan0":  # its routes went with it
            lines += ["route add default via 10.77.0.1 dev wan0"]
        else:
            lines += ["route replace local 0.0.0.0/0 dev lo table 100"]
        host.lab.host.run(["ip", "-batch", "-"], stdin="\n".join(lines) + "\n")
        for bound in ("", "wan0"):
            talk(host, proxy, bound)
        near.sendall(b"still there")
        assert far.recv(11) == b"still there"
        far.sendall(b"so am I")
        assert near.recv(7) == b"so am I"
        assert wire.arrived("tcp") == []


def test_other_interfaces_are_left_alone(fresh: Applied) -> None:
    fresh.lab.host.run(["ip", "link", "add", "other0", "type", "veth", "peer", "name", "other1"])
    for device, address in (("other0", "10.90.0.1/24"), ("other1", "10.91.0.1/24")):
        fresh.lab.host.run(["ip", "addr", "add", address, "dev", device])
        fresh.lab.host.run(["ip", "link", "set", device, "up"])
    fresh.lab.host.run(
        ["ip", "neigh", "add", "10.90.0.2", "lladdr", "2:0:0:0:0:1", "dev", "other0"]
    )
    fresh.lab.host.run(["ip", "route", "add", f"{FAR}/32", "via", "10.90.0.2"])
    with counting(fresh) as added, support.listener(fresh) as proxy:
        with Capture(fresh.lab.host, "other1") as wire, fresh.client() as near:
            near.setblocking(False)  # noqa: FBT003 - as the socket module has it
            near.connect_ex((FAR, 80))
            opening = wire.wait_for(lambda packet: packet.flags == "S")
        assert hears_nothing(proxy)
    assert opening.dst == FAR
    assert not added
