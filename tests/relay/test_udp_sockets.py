"""The relay's parts by themselves, in a namespace of the lab."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.relay import notices, udpsockets
from netplan_tproxy.relay.answers import Answers
from netplan_tproxy.relay.exchange import Exchange
from netplan_tproxy.relay.notices import Notices
from netplan_tproxy.relay.options import Endpoint
from netplan_tproxy.relay.udpsockets import Arrival
from tests.lab.patience import PATIENCE
from tests.relay.support import UdpServer, datagram_socket

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from tests.lab import Lab


@pytest.fixture
def local(lab: Lab) -> Iterator[Lab]:
    """A lab whose HOST takes 192.0.2.0/24 and 2001:db8::/32 for its own."""
    for family, network in (("-4", "192.0.2.0/24"), ("-6", "2001:db8::/32")):
        lab.host.run(["ip", family, "route", "add", "local", network, "dev", "lo"])
    with lab.host.entered():
        yield lab


@pytest.mark.lab
@pytest.mark.parametrize(
    ("wildcard", "target"),
    [("0.0.0.0", "127.0.0.9"), ("0.0.0.0", "192.0.2.7"), ("::", "::1"), ("::", "2001:db8::7")],
)
def test_a_listener_learns_where_each_datagram_was_going(
    local: Lab, wildcard: str, target: str
) -> None:
    buffer = bytearray(udpsockets.MOST)
    with (
        udpsockets.listener(Endpoint(wildcard, 9040)) as listener,
        datagram_socket(local.host, target) as near,
    ):
        near.sendto(b"hello", (target, 9040))
        arrival = udpsockets.receive(listener, buffer)
        assert arrival is not None
        assert (arrival.target, arrival.size) == (Endpoint(target, 9040), 5)
        assert arrival.source.port == near.getsockname()[1]
        listener.sendto(b"back", arrival.client)
        assert near.recv(10) == b"back"
        with pytest.raises(BlockingIOError):
            udpsockets.receive(listener, buffer)


@pytest.mark.lab
@pytest.mark.parametrize("target", ["192.0.2.7", "2001:db8::7"])
def test_an_answering_socket_sends_in_the_targets_name_and_receives_nothing(
    local: Lab, target: str
) -> None:
    with (
        udpsockets.answering(Endpoint(target, 53), 0) as answering,
        udpsockets.answering(Endpoint(target, 53), 0) as another,
        datagram_socket(local.host, target) as near,
    ):
        near.sendto(b"?", (target, 53))
        for name in (answering, another):
            name.sendto(b"!", ("::1" if ":" in target else "127.0.0.1", near.getsockname()[1]))
            assert near.recvfrom(10)[1][:2] == (target, 53)
            with pytest.raises(BlockingIOError):
                name.recv(10)


@pytest.mark.lab
def test_answers_share_a_socket_until_the_last_one_lets_go(local: Lab) -> None:
    assert local.host.fileno() >= 0
    answers = Answers(0)
    one, two = Endpoint("192.0.2.7", 53), Endpoint("192.0.2.8", 53)
    first = answers.hold(one)
    assert answers.hold(one) is first
    other = answers.hold(two)
    assert (len(answers), other is first) == (2, False)
    answers.release(one)
    assert first.fileno() >= 0
    answers.release(one)
    answers.release(two)
    assert (len(answers), first.fileno(), other.fileno()) == (0, -1, -1)


@pytest.mark.lab
def test_a_question_after_an_icmp_error_is_sent_all_the_same(lab: Lab) -> None:
    lines: list[str] = []
    first = Arrival(1, ("127.0.0.1", 5), Endpoint("127.0.0.1", 5), Endpoint("1.1.1.1", 53))
    with lab.host.entered():
        exchange = Exchange(first, Answers(0), 0, lines.append)
    with contextlib.ExitStack() as stack:
        stack.callback(exchange.close, "over")
        exchange.ask(memoryview(b"nobody there"))
        until_error(exchange.upstream, lab)
        server = stack.enter_context(UdpServer(lab.net, "1.1.1.1", 53))
        exchange.ask(memoryview(b"somebody there"))
        deadline = time.monotonic() + PATIENCE
        while not server.heard and time.monotonic() < deadline:
            time.sleep(0.005)
        assert [heard.data for heard in server.heard] == [b"somebody there"]
    assert lines[0] == "127.0.0.1:5 > 1.1.1.1:53 udp: connection refused"
    assert lines[1].startswith("127.0.0.1:5 > 1.1.1.1:53 udp: 2 out, 0 in, ")


def until_error(upstream: socket.socket, lab: Lab) -> None:
    """Wait for the ICMP error without taking it from the socket."""
    deadline = time.monotonic() + PATIENCE
    while "InDestUnreachs 1" not in _nstat(lab):
        assert time.monotonic() < deadline
        assert upstream.fileno() >= 0
        time.sleep(0.01)


def _nstat(lab: Lab) -> str:
    found = lab.host.run(["nstat", "-asz", "IcmpInDestUnreachs"]).stdout.split()
    return f"InDestUnreachs {found[found.index('IcmpInDestUnreachs') + 1]}"


def test_notices_say_the_first_line_and_count_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "_PAUSE", 0.2)
    said: list[str] = []

    async def flood() -> None:
        made = Notices(said.append)
        for number in range(5):
            made.tell("one kind", f"one kind: {number}")
            made.tell("another kind", f"another kind: {number}")
        await asyncio.sleep(0.3)
        made.tell("one kind", "one kind: still")
        await asyncio.sleep(0.7)
        made.tell("one kind", "one kind: news")
        made.tell("one kind", "one kind: more news")
        made.close()

    asyncio.run(flood())
    assert said == [
        "one kind: 0",
        "another kind: 0",
        "one kind: 4 more",
        "another kind: 4 more",
        "one kind: 1 more",
        "one kind: news",
        "one kind: 1 more",
    ]
