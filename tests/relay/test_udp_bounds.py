"""How many pairs there are at once, and for how long."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest

from tests.lab.patience import PATIENCE
from tests.relay import bench
from tests.relay.support import UdpServer, asked, datagram_socket, lan_client, open_files

if TYPE_CHECKING:
    import socket

    from tests.lab import Lab

pytestmark = pytest.mark.lab

WHERE = ("1.1.1.1", 53)


def clients(stack: contextlib.ExitStack, lab: Lab, count: int) -> list[socket.socket]:
    return [stack.enter_context(lan_client(lab)) for _ in range(count)]


def until_files(relay: bench.Running, count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while open_files(relay) != count:
        assert time.monotonic() < deadline, f"{open_files(relay)} files are open, not {count}"
        time.sleep(0.01)


def test_an_idle_pair_is_ended_and_its_sockets_closed() -> None:
    with (
        bench.relayed("--udp-idle", "0.5") as (lab, relay),
        UdpServer(lab.net, *WHERE) as server,
        contextlib.ExitStack() as stack,
    ):
        before = open_files(relay)
        nears = clients(stack, lab, 5)
        for near in nears:
            assert asked(near, b"x", WHERE) == b"x"
        assert open_files(relay) == before + 5 + 1
        until_files(relay, before)
        relay.wait_for_line(r"1 out, 1 in, \d+\.\d\d s, idle")
        assert asked(nears[0], b"y", WHERE) == b"y"
        assert len(set(server.peers)) == 6


def test_the_answering_socket_stays_as_long_as_one_pair_needs_it() -> None:
    with (
        bench.relayed("--udp-idle", "0.6") as (lab, relay),
        UdpServer(lab.net, *WHERE) as server,
        lan_client(lab) as brief,
        lan_client(lab) as lasting,
    ):
        before = open_files(relay)
        assert asked(brief, b"x", WHERE) == b"x"
        for _ in range(6):
            assert asked(lasting, b"x", WHERE) == b"x"
            time.sleep(0.15)
        until_files(relay, before + 2)
        assert asked(lasting, b"y", WHERE) == b"y"
        assert len(set(server.peers)) == 2


@pytest.mark.parametrize("who", ["client", "server"])
def test_a_pair_lives_as_long_as_one_side_talks(who: str) -> None:
    with (
        bench.relayed("--udp-idle", "0.6") as (lab, _),
        UdpServer(lab.net, *WHERE) as server,
        lan_client(lab) as near,
    ):
        assert asked(near, b"x", WHERE) == b"x"
        for _ in range(6):
            time.sleep(0.15)
            if who == "client":
                near.sendto(b"y", WHERE)
            else:
                server.tell(b"y", server.peers[0])
            assert near.recv(10) == b"y"
        assert len(set(server.peers)) == 1


def test_a_pair_beyond_the_bound_ends_the_one_silent_for_longest() -> None:
    with (
        bench.relayed("--udp-max", "3") as (lab, relay),
        UdpServer(lab.net, *WHERE) as server,
        contextlib.ExitStack() as stack,
    ):
        before = open_files(relay)
        first, second, third, fourth = clients(stack, lab, 4)
        for near in (first, second, third, first, fourth):
            assert asked(near, b"x", WHERE) == b"x"
            assert open_files(relay) <= before + 3 + 1
        ports = dict(zip("123", server.peers, strict=False))
        for name, near in (("1", first), ("3", third)):
            assert asked(near, b"y", WHERE) == b"y"
            assert server.peers[-1] == ports[name], "it was in use, yet it was ended"
        assert asked(second, b"y", WHERE) == b"y"
        assert server.peers[-1] != ports["2"]
        relay.wait_for_line(r"udp pairs ended to make room: 1 \(3 are the most\)")


@pytest.mark.parametrize("who", ["client", "server"])
def test_one_side_is_enough_not_to_be_the_one_silent_for_longest(who: str) -> None:
    silent = ("1.1.1.1", 54)
    with (
        bench.relayed("--udp-max", "2", "--drain-seconds", "0") as (lab, _),
        UdpServer(lab.net, *WHERE) as server,
        datagram_socket(lab.net, silent[0]) as mute,
        contextlib.ExitStack() as stack,
    ):
        mute.bind(silent)
        first, second, third = clients(stack, lab, 3)
        where = silent if who == "client" else WHERE
        if who == "client":
            first.sendto(b"x", where)
            peer = mute.recvfrom(10)[1]
        else:
            assert asked(first, b"x", where) == b"x"
            peer = server.peers[0]
        assert asked(second, b"x", WHERE) == b"x"
        if who == "client":
            first.sendto(b"x", where)
            assert mute.recvfrom(10)[1] == peer
        else:
            server.tell(b"y", peer)
            assert first.recv(10) == b"y"
        assert asked(third, b"x", WHERE) == b"x"
        first.sendto(b"z", where)
        assert (mute.recvfrom(10)[1] if who == "client" else heard_last(server, b"z")) == peer


def heard_last(server: UdpServer, data: bytes) -> tuple[str, int]:
    """Who sent that, once it is there."""
    deadline = time.monotonic() + PATIENCE
    while server.heard[-1].data != data:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return server.peers[-1]


def test_what_is_ended_to_make_room_is_counted_and_not_said_one_by_one() -> None:
    with (
        bench.relayed("--udp-max", "1") as (lab, relay),
        UdpServer(lab.net, *WHERE),
        contextlib.ExitStack() as stack,
    ):
        for near in clients(stack, lab, 41):
            assert asked(near, b"x", WHERE) == b"x"
        relay.process.terminate()
        relay.wait_for_line("the relay ended")
        relay.process.wait(PATIENCE)
        relay.wait_for_line("udp pairs ended to make room: .* more$")
        counts = [
            int(line.split("room: ")[1].split()[0])
            for line in relay.said.splitlines()
            if "udp pairs ended to make room" in line
        ]
        assert sum(counts) == 40
        assert len(counts) <= 4


def test_a_relay_without_files_left_makes_room() -> None:
    with (
        bench.relayed() as (lab, relay),
        UdpServer(lab.net, *WHERE),
        contextlib.ExitStack() as stack,
    ):
        limit = str(open_files(relay) + 6)
        pid = str(relay.process.pid)
        lab.host.run(["prlimit", "--pid", pid, f"--nofile={limit}:{limit}"])
        nears = clients(stack, lab, 20)
        for near in [*nears, *nears]:
            assert asked(near, b"x", WHERE) == b"x"
        relay.wait_for_line(r"ended to make room: 1 \(too many open files\)")
