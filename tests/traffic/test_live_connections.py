"""What lives when the site file changes goes on, or is told at once: it never hangs."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from netplan_tproxy.cli import main as cli
from tests.lab.patience import PATIENCE
from tests.traffic import live, support
from tests.traffic.sockets import answer, listen, listener, receive
from tests.traffic.support import Applied, Family, Pair

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
DGRAM = socket.SOCK_DGRAM
Ends = Pair | socket.socket


@dataclass
class Stage:
    """The sockets of all sides, by family."""

    host: Applied
    proxy: dict[Family, socket.socket]
    datagrams: dict[Family, socket.socket]
    moved: dict[Family, socket.socket]
    server: dict[Family, socket.socket]

    def begin(self, held: contextlib.ExitStack, column: str, family: Family) -> list[Ends]:
        """What is to live: for each kind of client a connection, or a flow that is answered."""
        protocol, _, place = column.partition(" ")
        ends: list[Ends] = []
        for sender in live.SENDERS[place]:
            if protocol == "TCP":
                pair = self.host.pair(self.proxy[family], sender, family)
                held.enter_context(pair.near)
                held.enter_context(pair.far)
                ends.append(pair)
            else:
                client = held.enter_context(self.host.client(sender, family, DGRAM))
                client.connect((family.far, 53))
                client.send(b"question")
                answer(self.host, receive(self.datagrams[family]), b"answer")
                assert client.recv(100) == b"answer"
                ends.append(client)
        return ends

    def fate(self, ends: Ends, family: Family, expected: str) -> str:
        if isinstance(ends, Pair):
            return fate_of_connection(ends, expected)
        return self.fate_of_datagram(ends, family)

    def change(self, site: str | None) -> None:
        if site is not None:
            self.host.apply(site)
            return
        with self.host.lab.host.entered():
            assert cli.main(["--destroy"]) == 0

    def fate_of_datagram(self, client: socket.socket, family: Family) -> str:
        """Where its next one goes."""
        places = {
            self.datagrams[family]: live.GOES_ON,
            self.moved[family]: live.TO_THE_NEW_ONE,
            self.server[family]: live.DIRECT,
        }
        client.send(b"again")
        ready = select.select([*places, client], [], [], PATIENCE)[0]
        if ready == [client]:
            with pytest.raises(ConnectionRefusedError):
                client.recv(100)
            return live.REFUSED
        (place,) = ready
        assert place.recv(100) == b"again"
        return places[place]


def fate_of_connection(pair: Pair, expected: str) -> str:
    """What has become of it. Who is reset hears so although he says nothing; so does the proxy."""
    near, far = pair
    if expected == live.RESET:
        for end in (near, far):
            with pytest.raises((ConnectionResetError, ConnectionAbortedError)):
                end.recv(1)
        return live.RESET
    near.sendall(b"question")
    assert far.recv(100) == b"question"
    far.sendall(b"answer")
    assert near.recv(100) == b"answer"
    near.close()
    assert far.recv(1) == b""
    return live.GOES_ON


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with support.applied(live.site()) as host, contextlib.ExitStack() as held:
        found = Stage(host, {}, {}, {}, {})
        host.lab.host.run(["ip", "addr", "add", "::2", "dev", "lo", "nodad"])
        for family in live.BOTH:
            found.proxy[family] = held.enter_context(listener(host, family))
            found.datagrams[family] = held.enter_context(listener(host, family, DGRAM))
            with host.lab.host.entered():
                moved = listen(
                    family._replace(loopback=live.MOVED[family]), DGRAM, port=live.MOVED_PORT
                )
            found.moved[family] = held.enter_context(moved)
            server = held.enter_context(host.lab.net.socket(family.number, DGRAM))
            server.bind((family.far, 53))
            found.server[family] = server
        yield found


@pytest.mark.parametrize("change", live.ROWS)
def test_what_the_proxy_has_goes_on_or_is_told_at_once(stage: Stage, change: str) -> None:
    row = live.ROWS[change]
    for site, families in row.steps():
        stage.change(live.site())
        with contextlib.ExitStack() as held:
            ends = {
                (family, column): stage.begin(held, column, family)
                for family in families
                for column in live.COLUMNS
            }
            stage.change(site)
            for (family, column), each in ends.items():
                expected = row.cells[live.COLUMNS.index(column)]
                for one in each:
                    assert stage.fate(one, family, expected) == expected, (column, family)
