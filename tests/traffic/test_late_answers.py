"""The proxy answers a client that is gone: the error that comes of it quotes what it said."""

from __future__ import annotations

import socket

import pytest

from tests.lab.counters import counting
from tests.lab.patience import PATIENCE
from tests.traffic.icmp import message, quotation, raw
from tests.traffic.sockets import answer, receive, transparent
from tests.traffic.support import BEHIND, UNBOUND, V4, Applied, Family, Sender

pytestmark = [pytest.mark.lab, pytest.mark.bpf, pytest.mark.usefixtures("no_leak")]
DGRAM = socket.SOCK_DGRAM


def test_the_error_about_an_answer_does_not_leave(
    host: Applied, family: Family, sender: Sender, udp: socket.socket
) -> None:
    """Neither while the socket that answered is there nor when it is gone."""
    with host.client(sender, family, DGRAM) as near:
        near.sendto(b"question", (family.far, 53))
        came = receive(udp)
    with counting(host) as added:
        answer(host, came, b"nobody is there to hear this")
        with host.lab.host.socket(family.number, DGRAM) as connected:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            transparent(connected)
            connected.bind(came.target)
            connected.connect(came.source)
            connected.settimeout(PATIENCE)
            connected.send(b"nor this")
            with pytest.raises(ConnectionRefusedError):
                connected.recv(1)
    assert added[sender.interface, "icmp"] == 2


@pytest.mark.parametrize("sender", [UNBOUND, BEHIND], ids=["unbound", "behind"])
def test_the_error_about_a_segment_does_not_leave(
    host: Applied, family: Family, sender: Sender, tcp: socket.socket
) -> None:
    """As a firewall of the client's sends it."""
    v6 = family is not V4
    near, far = host.pair(tcp, sender, family)
    with near, far, counting(host) as added:
        quoted = quotation((family.far, 80), near.getsockname()[:2])
        made = message(1 if v6 else 3, 4 if v6 else 13, bytes(4) + quoted, v6=v6)
        with raw(host.namespace(sender.role), family.number) as end:
            end.sendto(made, (family.far, 0))
    assert added[sender.interface, "icmp"] == 1
