"""Datagrams through the relay on a host where ``tproxy-apply`` has run."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.lab import Capture
from tests.lab.datagrams import dns_answer, dns_question
from tests.relay import support
from tests.relay.support import FAR, OTHER, OURS, UdpServer

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

clients = pytest.mark.parametrize("who", ["unbound", "bound", "behind"])
families = pytest.mark.parametrize("family", [4, 6], ids=["v4", "v6"])


@pytest.fixture(scope="module")
def stage() -> Iterator[support.Stage]:
    with support.staged() as made:
        yield made


@clients
@families
def test_dns_is_answered_through_the_relay_alone(
    stage: support.Stage, who: str, family: int
) -> None:
    where = (FAR[family], 53)
    with (
        UdpServer(stage.lab.net, *where, dns_answer) as server,
        Capture(stage.lab.net, "isp0") as wire,
        stage.client(who, where[0]) as near,
    ):
        for number in range(3):
            question = dns_question(number)
            assert support.asked(near, question, where) == dns_answer(question)
        # The server has met one peer, with the host's address and another port than the client's.
        (peer,) = set(server.peers)
        assert peer[0] == OURS[family]
        assert peer[1] != near.getsockname()[1]
        assert {packet.sport for packet in wire.arrived("udp")} == {peer[1]}


@clients
@families
def test_two_clients_of_one_destination_each_get_their_own_answers(
    stage: support.Stage, who: str, family: int
) -> None:
    where = (FAR[family], 53)
    with (
        UdpServer(stage.lab.net, *where) as server,
        stage.client(who, where[0]) as one,
        stage.client(who, where[0]) as two,
    ):
        # From the first answer on a socket is bound to the destination: it must take nothing.
        for number in range(5):
            for near, name in ((one, b"one"), (two, b"two")):
                data = b"%s %d" % (name, number)
                assert support.asked(near, data, where) == data
        assert len(set(server.peers)) == 2


@families
def test_clients_of_all_kinds_at_once(stage: support.Stage, family: int) -> None:
    where = (FAR[family], 53)
    with UdpServer(stage.lab.net, *where) as server, contextlib.ExitStack() as stack:
        kinds = ("unbound", "bound", "behind")
        nears = {who: stack.enter_context(stage.client(who, where[0])) for who in kinds}
        for _ in range(3):
            for who, near in nears.items():
                near.sendto(who.encode(), where)
            for who, near in nears.items():
                assert near.recvfrom(100)[0] == who.encode()
        assert len(set(server.peers)) == 3


@clients
@families
def test_one_client_of_two_destinations(stage: support.Stage, who: str, family: int) -> None:
    places = [(FAR[family], 53), (OTHER[family], 53), (FAR[family], 54)]
    with contextlib.ExitStack() as stack:
        for place in places:
            name = repr(place).encode()
            reply = lambda asked, name=name: name + asked  # noqa: E731
            stack.enter_context(UdpServer(stage.lab.net, *place, reply))
        near = stack.enter_context(stage.client(who, places[0][0]))
        for place in places:
            near.sendto(b"?", place)
        answers = [near.recvfrom(100) for _ in places]
        assert sorted((source[:2], data) for data, source in answers) == sorted(
            (place, repr(place).encode() + b"?") for place in places
        )


@clients
@families
def test_a_restarted_relay_picks_up(stage: support.Stage, who: str, family: int) -> None:
    where = (FAR[family], 53)
    with UdpServer(stage.lab.net, *where) as server, stage.client(who, where[0]) as near:
        assert support.asked(near, b"before", where) == b"before"
        stage.restart()
        assert support.asked(near, b"after", where) == b"after"
        assert len(set(server.peers)) == 2


def test_a_thousand_pairs_live_side_by_side(stage: support.Stage) -> None:
    stage.restart()
    before = support.open_files(stage.relay)
    places = [(address, port) for address in (FAR[4], OTHER[4]) for port in (53, 54)]
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(UdpServer(stage.lab.net, *place)) for place in places]
        nears = [stack.enter_context(stage.client("unbound", FAR[4])) for _ in range(250)]
        for turn in range(2):
            for number, near in enumerate(nears):
                data = b"%d %d" % (turn, number)
                for place in places:
                    near.sendto(data, place)
                answers = {near.recvfrom(100) for _ in places}
                assert answers == {(data, place) for place in places}
        assert [len(set(server.peers)) for server in servers] == [250] * 4
        # One upstream socket a pair, one answering socket a destination.
        assert support.open_files(stage.relay) == before + 1000 + 4


def test_a_datagram_as_large_as_they_come(stage: support.Stage) -> None:
    where = (FAR[4], 53)
    for namespace, device in ((stage.lab.host, "wan0"), (stage.lab.net, "isp0")):
        namespace.run(["ip", "link", "set", device, "mtu", "65535"])
    data = bytes(range(256)) * 256
    try:
        with UdpServer(stage.lab.net, *where):
            for who in ("unbound", "bound"):
                with stage.client(who, where[0]) as near:
                    for size in (0, 1472, 65506, 65507):
                        assert support.asked(near, data[:size], where) == data[:size]
    finally:
        for namespace, device in ((stage.lab.host, "wan0"), (stage.lab.net, "isp0")):
            namespace.run(["ip", "link", "set", device, "mtu", "1500"])
