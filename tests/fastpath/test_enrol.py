"""Which connections take the fast path, and that what is sent arrives."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.cli import main as cli
from tests.datapath import support
from tests.fastpath.support import Counted, fast, receive
from tests.lab import EchoServer, Lab

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


@pytest.mark.parametrize("device", ["", "wan0"])
def test_an_intercepted_connection_is_redirected_both_ways(
    host: support.Applied, proxy: socket.socket, device: str
) -> None:
    counted = Counted(host)
    near, far = host.pair(proxy, device)
    with near, far:
        for size in (1, 128, 16384, 100_000):
            there, back = os.urandom(size), os.urandom(size)
            near.sendall(there)
            assert receive(far, size) == there
            far.sendall(back)
            assert receive(near, size) == back
    found = counted()
    assert (found["enrolled_client"], found["enrolled_proxy"]) == (1, 1)
    assert found["bytes"] == 2 * (1 + 128 + 16384 + 100_000)
    assert found["messages"] >= 8
    assert not [name for name in found if name.startswith(("demoted", "refused"))]


def test_the_first_message_may_come_from_either_side(
    host: support.Applied, proxy: socket.socket
) -> None:
    for first, second in ((0, 1), (1, 0)):
        counted = Counted(host)
        pair = host.pair(proxy)
        with pair.near, pair.far:
            pair[first].sendall(b"220 hello\r\n")
            assert pair[second].recv(100) == b"220 hello\r\n"
        assert counted()["messages"] == 1


def test_what_is_not_intercepted_is_not_enrolled(host: support.Applied) -> None:
    counted = Counted(host)
    with EchoServer(host.lab.net), host.connect(where=(support.FAR, 7), mark=2) as direct:
        direct.sendall(b"direct")
        assert direct.recv(100) == b"direct"
    with support.listener(host, ("127.0.0.1", 4000)) as other, host.lab.host.socket() as local:
        local.connect(("127.0.0.1", 4000))
        accepted, _ = other.accept()
        with accepted:
            local.sendall(b"local")
            assert accepted.recv(100) == b"local"
    assert counted() == {}


def test_what_was_sent_before_a_close_arrives(host: support.Applied, proxy: socket.socket) -> None:
    for closer in (0, 1):
        pair = host.pair(proxy)
        with pair.near, pair.far:
            pair[closer].sendall(b"x" * 50_000)
            pair[closer].close()
            assert receive(pair[1 - closer], 50_000) == b"x" * 50_000
            assert pair[1 - closer].recv(1) == b""


def test_a_port_is_used_again_at_once(host: support.Applied, proxy: socket.socket) -> None:
    for number in range(20):
        counted = Counted(host)
        near, far = host.pair(proxy, port=4321)
        with near, far:
            text = b"round %d" % number
            near.sendall(text)
            assert far.recv(100) == text
            far.sendall(text)
            assert near.recv(100) == text
        assert counted()["messages"] == 2


def test_only_the_named_ports_are_enrolled(tmp_path: Path, cgroup: Path) -> None:
    with support.applied(tmp_path) as host, support.listener(host) as proxy:
        host.write(fast(cgroup, ", ports: [443, 8000-8999]"))
        host.apply()
        for port, wanted in ((80, 0), (443, 1), (8500, 1), (9000, 0)):
            counted = Counted(host)
            with host.connect(where=(support.FAR, port)) as near:
                far, _ = proxy.accept()
                with far:
                    near.sendall(b"?")
                    assert far.recv(1) == b"?"
            assert counted()["enrolled_client"] == wanted
        host.destroy()


def test_only_processes_of_the_named_cgroup_are_enrolled(
    tmp_path: Path, other_cgroup: Path
) -> None:
    with support.applied(tmp_path) as host, support.listener(host) as proxy:
        host.write(fast(other_cgroup))
        host.apply()
        counted = Counted(host)
        pair = host.pair(proxy)
        with pair.near, pair.far:
            pair.near.sendall(b"?")
            assert pair.far.recv(1) == b"?"
        assert counted() == {}
        host.destroy()


def test_ipv6_is_redirected_too(tmp_path: Path, on: str) -> None:
    with Lab(ipv6=True) as lab:
        host = support.Applied(lab, tmp_path)
        host.site.write_text(
            "version: 1\ninterfaces: {wan0: {}}\nproxy: {tcp6: {port: 9040}}\n" + on
        )
        host.apply()
        counted = Counted(host)
        with (
            support.listener(host, ("::1", 9040)) as proxy,
            lab.host.socket(socket.AF_INET6) as near,
        ):
            near.connect(("2606:4700:4700::1111", 80))
            far, _ = proxy.accept()
            with far:
                near.sendall(b"six")
                assert far.recv(10) == b"six"
                far.sendall(b"back")
                assert near.recv(10) == b"back"
        assert counted()["messages"] == 2
        host.destroy()


def test_status_tells_of_it(
    host: support.Applied, proxy: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = host.pair(proxy)
    with pair.near, pair.far, host.lab.host.entered():
        pair.near.sendall(b"?")
        assert pair.far.recv(1) == b"?"
        capsys.readouterr()
        assert cli.main(["--status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = lines[lines.index("fast path") :]
    assert told[1] == "  2 sockets take part now, of 1 connection (65536 at most)"
    assert " messages redirected, " in told[2]
