"""What goes out directly when the site file changes goes on so, if it is a connection."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator

import pytest

from netplan_tproxy.cli import main as cli
from tests.lab import EchoServer
from tests.lab.patience import PATIENCE
from tests.traffic import live, support
from tests.traffic.sockets import listener
from tests.traffic.support import Applied, Family, Sender

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
DGRAM = socket.SOCK_DGRAM
Sockets = dict[Family, socket.socket]


@pytest.fixture(scope="module")
def host() -> Iterator[Applied]:
    with support.applied() as made, contextlib.ExitStack() as held:
        made.lab.host.run(["ip", "link", "add", live.ELSEWHERE, "type", "veth", "peer", "other1"])
        for family in live.BOTH:
            held.enter_context(listener(made, family))
            held.enter_context(EchoServer(made.lab.net, family.far))
        yield made


@pytest.fixture(scope="module")
def proxy(host: Applied) -> Iterator[Sockets]:
    with contextlib.ExitStack() as held:
        yield {one: held.enter_context(listener(host, one, DGRAM)) for one in live.BOTH}


@pytest.fixture(scope="module")
def server(host: Applied) -> Iterator[Sockets]:
    with contextlib.ExitStack() as held:
        made = {}
        for family in live.BOTH:
            made[family] = held.enter_context(host.lab.net.socket(family.number, DGRAM))
            made[family].bind((family.far, 53))
        yield made


def begun(host: Applied, column: str, family: Family, sender: Sender) -> socket.socket:
    kind = socket.SOCK_STREAM if column.startswith("TCP") else DGRAM
    client = host.client(sender, family, kind)
    client.connect((family.far, 53 if kind == DGRAM else 7))
    return client


def is_echoed(client: socket.socket) -> bool:
    client.sendall(b"question")
    return client.recv(100) == b"question"


@pytest.mark.parametrize("change", live.DIRECT_ROWS)
def test_a_connection_that_goes_out_directly_goes_on_so(
    host: Applied, proxy: Sockets, server: Sockets, change: str
) -> None:
    row = live.DIRECT_ROWS[change]

    def fate(column: str, family: Family, client: socket.socket) -> str:
        if column.startswith("TCP"):
            assert is_echoed(client)
            return live.DIRECT
        client.send(b"datagram")
        (place,) = select.select([proxy[family], server[family]], [], [], PATIENCE)[0]
        assert place.recv(100) == b"datagram"
        return live.DIRECT if place is server[family] else live.TAKEN

    for family in live.BOTH:
        before = row.before(family)
        assert before is not None
        host.apply(before)
        with contextlib.ExitStack() as held:
            ends = [
                (column, held.enter_context(begun(host, column, family, sender)), cell)
                for column, cell in zip(live.COLUMNS, row.cells, strict=True)
                for sender in live.SENDERS[column.partition(" ")[2]]
            ]
            for column, client, _ in ends:
                assert fate(column, family, client) == live.DIRECT, column
            if row.after is None:
                with host.lab.host.entered():
                    assert cli.main(["--destroy"]) == 0
            else:
                host.apply(row.after)
            for column, client, cell in ends:
                assert fate(column, family, client) == cell, (column, family)
