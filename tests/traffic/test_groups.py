"""Who asks a group (SSDP, mDNS, NetBIOS) is answered alone, from an address of this host's own."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.lab import Namespace
from tests.lab.counters import counting
from tests.lab.patience import PATIENCE
from tests.traffic import support
from tests.traffic.sockets import receive
from tests.traffic.support import V4, Applied, Family, make_site

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
DGRAM = socket.SOCK_DGRAM
SSDP = 1900
SITES = {
    "output": make_site(),
    "both": make_site(dict.fromkeys(("wan0", "lan0"), "[output, forward]")),
}


class Visitor(NamedTuple):
    """Who asks, by which device, and the other end of it."""

    role: str
    device: str
    interface: str


@pytest.fixture(scope="module", params=SITES)
def host(request: pytest.FixtureRequest) -> Iterator[Applied]:
    with support.applied(SITES[request.param]) as made:
        yield made


@pytest.fixture(params=["net", "lan"])
def visitor(request: pytest.FixtureRequest) -> Visitor:
    if request.param == "net":
        return Visitor("net", "isp0", "wan0")
    return Visitor("lan", "eth0", "lan0")


def asker(host: Applied, visitor: Visitor, family: Family) -> socket.socket:
    """A socket that sends to groups by the visitor's device."""
    namespace: Namespace = host.namespace(visitor.role)
    made = namespace.socket(family.number, DGRAM)
    made.settimeout(PATIENCE)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, visitor.device.encode())
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    return made


@contextlib.contextmanager
def service(host: Applied, interface: str, group: str) -> Iterator[socket.socket]:
    """A service of this host's that has joined the group."""
    family = socket.AF_INET6 if ":" in group else socket.AF_INET
    with host.lab.host.socket(family, DGRAM) as made:
        made.bind(("", SSDP))
        with host.lab.host.entered():
            index = socket.if_nametoindex(interface)
        if family == socket.AF_INET6:
            member = socket.inet_pton(family, group) + struct.pack("=i", index)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)
        elif group.startswith("239."):
            member = socket.inet_aton(group) + struct.pack("=4xi", index)
            made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        yield made


def groups(family: Family, interface: str) -> list[str]:
    if family != V4:
        return ["ff02::c", "ff05::c"]
    network = "10.77.0.255" if interface == "wan0" else "10.79.0.255"
    return ["239.255.255.250", "255.255.255.255", network]


def test_who_asks_a_group_is_answered(
    host: Applied, family: Family, udp: socket.socket, visitor: Visitor
) -> None:
    for group in groups(family, visitor.interface):
        with (
            service(host, visitor.interface, group) as server,
            asker(host, visitor, family) as near,
            counting(host) as added,
        ):
            for size in (10, 4000):
                near.sendto(b"who is there?", (group, SSDP))
                assert server.recvfrom(100)[0] == b"who is there?"
                server.sendto(bytes(size), near_address(near, visitor, family))
                assert near.recv(5000) == bytes(size)
        assert added[visitor.interface, "new"] == 0
    udp.settimeout(0)
    with pytest.raises(BlockingIOError):
        udp.recv(1)


def near_address(near: socket.socket, visitor: Visitor, family: Family) -> tuple[str, int]:
    """Where the visitor can be reached."""
    port = near.getsockname()[1]
    if visitor.role == "lan":
        return family.behind, port
    return ("10.77.0.1" if family == V4 else "fd77::1"), port


def test_what_the_service_says_to_others_and_others_to_the_visitor_is_intercepted(
    host: Applied, family: Family, udp: socket.socket
) -> None:
    visitor = Visitor("net", "isp0", "wan0")
    for group in groups(family, visitor.interface):
        with (
            service(host, visitor.interface, group) as server,
            asker(host, visitor, family) as near,
            host.lab.host.socket(family.number, DGRAM) as other,
        ):
            near.sendto(b"who is there?", (group, SSDP))
            assert server.recvfrom(100)[0] == b"who is there?"
            where = near_address(near, visitor, family)
            for sender, to in ((server, (family.far, where[1])), (other, where)):
                sender.sendto(b"hello", to)
                came = receive(udp)
                assert (came.data, came.target) == (b"hello", to)
