"""Devices whose packets are longer than what a header can be put in front of."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.lab.counters import counting
from tests.lab.streams import read_exactly
from tests.traffic import support
from tests.traffic.sockets import answer, exchange, receive
from tests.traffic.support import BOUND, UNBOUND, Applied, Family, Sender, make_site
from tests.traffic.tun import Cable

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
DGRAM = socket.SOCK_DGRAM
MTU = 65000
LONGEST = 15000  # as in bpf/tproxy/redirect.h
TUN = """
addr add 10.87.0.2/24 dev tun0
addr add fd87::2/64 dev tun0 nodad
link set tun0 addrgenmode none
link set tun0 mtu {mtu} up
route replace default dev tun0
route replace ::/0 dev tun0 metric 1
"""


@pytest.fixture(scope="module", params=["tun0", "wan0"])
def device(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def host(device: str) -> Iterator[Applied]:
    """One with a link-layer header, and one without."""
    with Lab(lan=True, ipv6=True) as lab, Cable((lab.host, "tun0"), (lab.net, "out0")):
        on = Applied(lab)
        if device == "tun0":
            lab.host.run(["ip", "-batch", "-"], stdin=TUN.format(mtu=MTU).strip() + "\n")
        else:
            support.introduce(lab)
            for namespace, name in ((lab.host, "wan0"), (lab.net, "isp0")):
                namespace.run(["ip", "link", "set", name, "mtu", str(MTU)])
        on.apply(make_site({device: "output"}))
        yield on


@pytest.fixture(params=[UNBOUND, BOUND], ids=["unbound", "bound"])
def sender(device: str, request: pytest.FixtureRequest) -> Sender:
    bound: Sender = request.param
    return Sender("host", device, device if bound.device else "")


@pytest.mark.parametrize("size", [1, LONGEST, 16_000, 16_100, 32_000, 64_900])
def test_a_send_of_any_size_is_carried(
    host: Applied, family: Family, sender: Sender, tcp: socket.socket, size: int
) -> None:
    near, far = host.pair(tcp, sender, family)
    with near, far:
        near.settimeout(5)
        far.settimeout(5)
        for one, two in ((near, far), (far, near)):
            one.sendall(bytes(size))
            assert read_exactly(two, size) == bytes(size)


def test_bulk_is_carried_both_ways(
    host: Applied, family: Family, sender: Sender, tcp: socket.socket
) -> None:
    for _ in range(2):
        near, far = host.pair(tcp, sender, family)
        with near, far:
            exchange(near, far, 4 << 20)


def test_a_connection_that_is_refused_is_refused_whatever_it_sends(
    host: Applied, family: Family, sender: Sender
) -> None:
    with host.client(sender, family) as near, pytest.raises(ConnectionRefusedError):
        near.connect((family.far, 80))


def test_a_datagram_that_is_too_long_is_told_so(
    host: Applied, family: Family, sender: Sender, udp: socket.socket, device: str
) -> None:
    # What is told of a way is remembered; nobody has sent anything there yet.
    where = (f"{family.other[:-1]}{7 + bool(sender.device)}", 53)
    with host.client(sender, family, DGRAM) as near, counting(host) as added:
        # IP_MTU_DISCOVER, IPV6_MTU_DISCOVER: IP_PMTUDISC_DO.
        level, name = (socket.IPPROTO_IP, 10) if family.number == socket.AF_INET else (41, 23)
        near.setsockopt(level, name, 2)
        near.connect(where)
        near.send(bytes(20_000))
        if device == "tun0":
            with pytest.raises(OSError, match="Message too long") as refused:
                near.recv(1)
            assert refused.value.errno == errno.EMSGSIZE
            near.send(bytes(14_000))
        came = receive(udp)
        assert len(came.data) == (14_000 if device == "tun0" else 20_000)
        answer(host, came, b"answer")
        assert near.recv(10) == b"answer"
    assert added[device, "too_long"] == (device == "tun0")


def test_the_length_is_that_of_the_programs() -> None:
    source = Path(__file__).parents[2] / "bpf/tproxy/redirect.h"
    assert f"#define LONGEST {LONGEST}\n" in source.read_text()
