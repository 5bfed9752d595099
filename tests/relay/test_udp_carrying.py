"""Datagrams of the LAN, given to the relay by nftables: fragments are whole before it sees them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.relay import bench, support
from tests.relay.support import FAR, OTHER, OURS, UdpServer, asked, lan_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab import Lab

pytestmark = pytest.mark.lab

WHERE = (FAR[4], 53)
families = pytest.mark.parametrize("family", [4, 6], ids=["v4", "v6"])


@pytest.fixture(scope="module")
def dual() -> Iterator[tuple[Lab, bench.Running]]:
    """One for the whole module, IPv6 too."""
    with bench.relayed(ipv6=True) as made:
        yield made


@families
def test_a_question_and_its_answer(dual: tuple[Lab, bench.Running], family: int) -> None:
    lab, _ = dual
    where = (FAR[family], 53)
    with UdpServer(lab.net, *where, bytes.upper) as server, lan_client(lab, where[0]) as near:
        assert asked(near, b"question", where) == b"QUESTION"
        ((data, peer),) = server.heard
    assert data == b"question"
    assert peer[0] == OURS[family], "the server must see the relay, not the client"


@families
def test_a_connected_client_accepts_the_answer(
    dual: tuple[Lab, bench.Running], family: int
) -> None:
    lab, _ = dual
    where = (FAR[family], 53)
    with UdpServer(lab.net, *where), lan_client(lab, where[0]) as near:
        near.connect(where)
        near.send(b"x")
        assert near.recv(10) == b"x"


@families
@pytest.mark.parametrize("size", [0, 1, 1472, 1473, 9000, 65506, 65507])
def test_datagrams_of_any_size_are_carried_both_ways(
    dual: tuple[Lab, bench.Running], family: int, size: int
) -> None:
    lab, _ = dual
    where = (FAR[family], 53)
    data = (bytes(range(251)) * 262)[:size]
    with UdpServer(lab.net, *where) as server, lan_client(lab, where[0]) as near:
        assert asked(near, data, where) == data
        assert [heard.data for heard in server.heard] == [data]


@families
def test_answers_may_be_many_and_unasked(dual: tuple[Lab, bench.Running], family: int) -> None:
    lab, _ = dual
    where = (FAR[family], 53)
    with UdpServer(lab.net, *where) as server, lan_client(lab, where[0]) as near:
        assert asked(near, b"first", where) == b"first"
        for number in range(40):
            server.tell(b"%d" % number, server.peers[0])
        got = [near.recvfrom(100) for _ in range(40)]
    assert [data for data, _ in got] == [b"%d" % number for number in range(40)]
    assert {source[:2] for _, source in got} == {where}


@families
def test_one_client_of_two_destinations(dual: tuple[Lab, bench.Running], family: int) -> None:
    lab, _ = dual
    places = [(FAR[family], 53), (OTHER[family], 53), (FAR[family], 9040)]
    with contextlib.ExitStack() as stack:
        for place in places:
            stack.enter_context(UdpServer(lab.net, *place))
        near = stack.enter_context(lan_client(lab, places[0][0]))
        for _ in range(3):
            for place in places:
                near.sendto(repr(place).encode(), place)
            got = [near.recvfrom(100) for _ in places]
            assert {(repr(source[:2]).encode(), data) for data, source in got} == {
                (repr(place).encode(), repr(place).encode()) for place in places
            }


@families
def test_two_clients_of_one_destination(dual: tuple[Lab, bench.Running], family: int) -> None:
    lab, _ = dual
    where = (FAR[family], 53)
    with (
        UdpServer(lab.net, *where) as server,
        lan_client(lab, where[0]) as one,
        lan_client(lab, where[0]) as two,
    ):
        for number in range(5):
            for near, name in ((one, b"one"), (two, b"two")):
                data = b"%s %d" % (name, number)
                assert asked(near, data, where) == data
        assert len(set(server.peers)) == 2


def test_a_refused_question_does_no_harm_and_the_next_one_is_answered(
    setup: tuple[Lab, bench.Running],
) -> None:
    lab, relay = setup
    with UdpServer(lab.net, *WHERE), lan_client(lab) as near, lan_client(lab) as other:
        assert asked(other, b"before", WHERE) == b"before"
        for _ in range(3):
            near.sendto(b"anybody?", (FAR[4], 54))
        relay.wait_for_line("1.1.1.1:54 udp: connection refused")
        assert asked(other, b"meanwhile", WHERE) == b"meanwhile"
        with UdpServer(lab.net, FAR[4], 54):
            assert asked(near, b"now", (FAR[4], 54)) == b"now"


def test_a_prohibited_destination_does_no_harm(setup: tuple[Lab, bench.Running]) -> None:
    lab, relay = setup
    lab.net.sysctl("net.ipv4.ip_forward", 1)
    lab.net.run(["ip", "route", "add", "prohibit", "9.9.9.9/32"])
    with UdpServer(lab.net, *WHERE), lan_client(lab) as near:
        near.sendto(b"x", ("9.9.9.9", 53))
        relay.wait_for_line("9.9.9.9:53 udp: no route to host")
        assert asked(near, b"y", WHERE) == b"y"


def test_a_destination_without_a_route_does_no_harm(setup: tuple[Lab, bench.Running]) -> None:
    lab, relay = setup
    lab.host.run(["ip", "route", "add", "unreachable", "9.9.9.9/32"])
    lab.host.run(["ip", "route", "add", "local", "9.9.9.9/32", "dev", "lo", "table", "100"])
    with UdpServer(lab.net, *WHERE), lan_client(lab) as near:
        near.sendto(b"x", ("9.9.9.9", 53))
        relay.wait_for_line("9.9.9.9:53 udp: no route to host")
        assert asked(near, b"y", WHERE) == b"y"


def test_a_client_that_is_gone_does_no_harm(setup: tuple[Lab, bench.Running]) -> None:
    lab, _ = setup
    with UdpServer(lab.net, *WHERE) as server:
        with lan_client(lab) as near:
            assert asked(near, b"x", WHERE) == b"x"
        for _ in range(5):
            server.tell(b"too late", server.peers[0])
        with lan_client(lab) as near:
            assert asked(near, b"y", WHERE) == b"y"


def test_connections_and_datagrams_to_one_port_do_not_meet(
    setup: tuple[Lab, bench.Running],
) -> None:
    lab, _ = setup
    with UdpServer(lab.net, *WHERE), lan_client(lab) as near:
        assert asked(near, b"datagram", WHERE) == b"datagram"
        with bench.server(lab, port=53) as listener, bench.client(lab, port=53) as stream:
            far, _ = listener.accept()
            with far:
                stream.sendall(b"stream")
                assert far.recv(10) == b"stream"
        assert support.asked(near, b"datagram", WHERE) == b"datagram"
