"""Somebody listens where the proxy should, and is not transparent: he gets nothing of others."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

import pytest

from tests.lab.counters import counting
from tests.lab.streams import hears_nothing
from tests.traffic import support
from tests.traffic.sockets import answer, listener, receive
from tests.traffic.support import PORT, V6, Applied, Family, Sender

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
STREAM, DGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
KINDS = pytest.mark.parametrize("kind", [STREAM, DGRAM], ids=["tcp", "udp"])
NOBODY = 65534
IPV6_FREEBIND = 78  # <linux/in6.h>


def opaque(host: Applied, family: Family, kind: socket.SocketKind, uid: int = 0) -> socket.socket:
    """A listener without the flag, as anybody may make it."""
    with host.lab.host.entered(), _as_user(uid):
        made = socket.socket(family.number, kind)
        made.bind((family.loopback, PORT))
        if kind == STREAM:
            made.listen()
    return made


def refused(host: Applied, family: Family, sender: Sender, kind: socket.SocketKind) -> None:
    with host.client(sender, family, kind) as near:
        near.settimeout(2)
        if kind == STREAM:
            with pytest.raises(ConnectionRefusedError):
                near.connect((family.far, 80))
            return
        near.connect((family.far, 53))
        near.send(b"for the proxy's eyes")
        with pytest.raises(ConnectionRefusedError):
            near.recv(1)


@pytest.mark.usefixtures("no_leak")
@KINDS
def test_a_listener_that_is_not_transparent_is_none(
    host: Applied, family: Family, sender: Sender, kind: socket.SocketKind
) -> None:
    with opaque(host, family, kind) as other, counting(host) as added:
        for _ in range(3):
            refused(host, family, sender, kind)
        assert hears_nothing(other)
    assert added == {(sender.interface, "refused"): 3, (sender.interface, "not_transparent"): 3}


@pytest.mark.usefixtures("no_leak")
def test_a_user_without_capabilities_gets_nobodys_datagrams(
    host: Applied, family: Family, sender: Sender
) -> None:
    """The proxy is down for a moment, and its port is free."""
    with listener(host, family, DGRAM) as proxy, host.client(sender, family, DGRAM) as near:
        near.connect((family.far, 53))
        near.send(b"question")
        answer(host, receive(proxy), b"answer")
        assert near.recv(100) == b"answer"
        proxy.close()
        with opaque(host, family, DGRAM, NOBODY) as thief:
            near.send(b"another")
            with pytest.raises(ConnectionRefusedError):
                near.recv(100)
            assert hears_nothing(thief)
        with listener(host, family, DGRAM) as again:
            near.send(b"and another")
            assert receive(again).data == b"and another"


@pytest.mark.usefixtures("no_leak")
def test_whoever_binds_to_the_far_end_gets_no_datagrams_for_it(
    host: Applied, sender: Sender
) -> None:
    """IPV6_FREEBIND takes no capability, and a proxy connects such sockets to its clients."""
    with (
        listener(host, V6, DGRAM) as proxy,
        host.client(sender, V6, DGRAM) as near,
        host.lab.host.socket(V6.number, DGRAM) as thief,
    ):
        near.connect((V6.far, 5300))
        thief.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        thief.bind((V6.far, 5300))
        thief.connect(near.getsockname()[:2])
        near.send(b"question")
        assert receive(proxy).data == b"question"
        assert hears_nothing(thief)


@KINDS
def test_what_is_to_go_on_without_a_proxy_goes_out_directly(
    family: Family, kind: socket.SocketKind, bypassing: Applied
) -> None:
    with (
        opaque(bypassing, family, kind),
        bypassing.lab.net.socket(family.number, kind) as server,
        counting(bypassing) as added,
    ):
        server.bind((family.far, 8053))
        server.settimeout(5)
        for number, sender in enumerate((support.UNBOUND, support.BOUND, support.BEHIND)):
            with bypassing.client(sender, family, kind) as near:
                near.settimeout(5)
                if kind == STREAM:
                    server.listen()
                    near.connect((family.far, 8053))
                    server.accept()[0].close()
                else:
                    near.sendto(bytes([number]), (family.far, 8053))
                    assert server.recv(100) == bytes([number])
    assert added["wan0", "not_transparent"] == added["wan0", "down_bypassed"] == 2
    assert added["lan0", "not_transparent"] == added["lan0", "down_bypassed"] == 1


@pytest.fixture(scope="module")
def bypassing() -> Iterator[Applied]:
    with support.applied(support.make_site(when_down="bypass")) as made:
        yield made


@contextlib.contextmanager
def _as_user(uid: int) -> Iterator[None]:
    """This thread is a user, without any capability unless it is root, for a moment."""
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
