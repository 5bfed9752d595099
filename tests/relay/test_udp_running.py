"""A relay's start, its end, and datagrams that are not for it."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

import pytest

from tests.lab import Capture
from tests.lab.patience import PATIENCE
from tests.relay import bench
from tests.relay.support import UdpServer, asked, datagram_socket, lan_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab import Lab

pytestmark = pytest.mark.lab

LISTEN = ("--listen", "127.0.0.1:9040")
WHERE = ("1.1.1.1", 53)


@pytest.fixture
def slow(setup: tuple[Lab, bench.Running]) -> Iterator[socket.socket]:
    """A server that answers when the test does."""
    lab, _ = setup
    with datagram_socket(lab.net, WHERE[0]) as bound:
        bound.bind(WHERE)
        yield bound


def test_a_sigterm_waits_for_answers_on_their_way(
    setup: tuple[Lab, bench.Running], slow: socket.socket
) -> None:
    lab, relay = setup
    with lan_client(lab) as near:
        for _ in range(2):
            near.sendto(b"?", WHERE)
            _, peer = slow.recvfrom(10)
        relay.process.terminate()
        relay.wait_for_line("waiting for answers to datagrams of 1 pairs")
        for _ in range(2):
            slow.sendto(b"!", peer)
            assert near.recvfrom(10) == (b"!", WHERE)
        assert relay.process.wait(PATIENCE) == 0
    relay.wait_for_line(r"2 out, 2 in, \d+\.\d\d s, the relay ended")


def test_a_second_signal_ends_the_waiting(
    setup: tuple[Lab, bench.Running], slow: socket.socket
) -> None:
    lab, relay = setup
    with lan_client(lab) as near:
        near.sendto(b"?", WHERE)
        _, peer = slow.recvfrom(10)
        relay.process.terminate()
        relay.wait_for_line("waiting for answers")
        relay.process.send_signal(signal.SIGTERM)
        assert relay.process.wait(1) == 0
        slow.sendto(b"!", peer)
        near.settimeout(0.1)
        with pytest.raises(TimeoutError):
            near.recv(10)


def test_a_signal_carries_what_has_arrived(
    setup: tuple[Lab, bench.Running],
) -> None:
    lab, relay = setup
    with UdpServer(lab.net, *WHERE) as server, lan_client(lab) as near:
        assert asked(near, b"warm", WHERE) == b"warm"
        # Stopped, it finds the datagrams and the signal at once.
        relay.process.send_signal(signal.SIGSTOP)
        for number in range(250):
            near.sendto(b"%d" % number, WHERE)
        relay.process.terminate()
        relay.process.send_signal(signal.SIGCONT)
        got = {near.recv(10) for _ in range(250)}
        assert relay.process.wait(PATIENCE) == 0
    assert got == {b"%d" % number for number in range(250)}
    assert len(set(server.peers)) == 1


def test_a_restarted_relay_serves_the_same_clients(setup: tuple[Lab, bench.Running]) -> None:
    lab, relay = setup
    with UdpServer(lab.net, *WHERE) as server, lan_client(lab) as near:
        assert asked(near, b"before", WHERE) == b"before"
        relay.process.terminate()
        assert relay.process.wait(PATIENCE) == 0
        bench.start(lab.host, *LISTEN).wait_for_line("listening")
        assert asked(near, b"after", WHERE) == b"after"
        assert {address for address, _ in server.peers} == {"10.77.0.2"}


def test_a_killed_relay_can_be_replaced_at_once(setup: tuple[Lab, bench.Running]) -> None:
    lab, relay = setup
    with UdpServer(lab.net, *WHERE), lan_client(lab) as near:
        assert asked(near, b"before", WHERE) == b"before"
        relay.process.kill()
        relay.process.wait(PATIENCE)
        bench.start(lab.host, *LISTEN).wait_for_line("listening")
        assert asked(near, b"after", WHERE) == b"after"


def test_a_port_in_use_is_one_clear_line(lab: Lab) -> None:
    with lab.host.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 9040))
        done = lab.host.run([bench.PYTHON, "-m", "netplan_tproxy.relay", *LISTEN], check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "tproxy-relay: cannot listen on udp 127.0.0.1:9040: address already in use\n"
    )


def test_port_0_is_one_port_for_both(lab: Lab) -> None:
    relay = bench.start(lab.host, "--listen", "127.0.0.1:0")
    line = relay.wait_for_line("listening on")
    port = line.rpartition(":")[2]
    listed = lab.host.run(["ss", "-Htulpn"]).stdout
    assert sorted(row.split()[0] for row in listed.splitlines() if f":{port} " in row) == [
        "tcp",
        "udp",
    ]


@pytest.mark.parametrize(
    ("listen", "to", "why"),
    [
        ("127.0.0.1", "127.0.0.1", "it was sent to the relay itself, not redirected to it"),
        ("0.0.0.0", "127.0.0.1", "it was not sent to one far host"),
        ("0.0.0.0", "10.77.0.2", "it was sent to this host itself"),
    ],
)
def test_a_datagram_to_the_relay_itself_is_refused(
    lab: Lab, listen: str, to: str, why: str
) -> None:
    relay = bench.start(lab.host, "--listen", f"{listen}:9040")
    relay.wait_for_line("listening")
    with datagram_socket(lab.host, to) as near:
        for _ in range(3):
            near.sendto(b"x", (to, 9040))
        relay.wait_for_line(f"> {to}:9040 udp: refused: {why}")
        relay.process.terminate()
        relay.wait_for_line("datagrams refused: 2 more")


def test_the_relays_own_datagram_coming_back_is_refused_and_does_not_loop() -> None:
    rules = """
    table ip own {
      chain outgoing {
        type route hook output priority mangle
        oifname wan0 meta l4proto udp meta mark set 1
      }
      chain incoming {
        type filter hook prerouting priority mangle
        iifname lo meta mark 1 meta l4proto udp tproxy to 127.0.0.1:9040
      }
    }
    """
    with bench.relayed("--drain-seconds", "0") as (lab, relay):
        lab.host.run(["nft", "-f", "-"], stdin=rules)
        lab.host.sysctl("net.ipv4.conf.lo.accept_local", 1)
        with UdpServer(lab.net, *WHERE) as server, lan_client(lab) as near:
            near.sendto(b"x", WHERE)
            relay.wait_for_line(
                r"10\.77\.0\.2:\d+ > 1\.1\.1\.1:53 udp: refused: it is the relay's own datagram"
            )
            assert server.heard == []
        relay.process.terminate()
        assert relay.process.wait(PATIENCE) == 0
        relay.wait_for_line("1 out, 0 in, ")
        assert relay.said.count("refused") == 1


def test_what_goes_out_carries_the_mark_and_so_do_the_answers() -> None:
    drop = """
    table ip own {
      chain leaving {
        type filter hook postrouting priority 0
        oifname wan0 udp dport 53 meta mark != 0x2a drop
        oifname lan0 udp sport 53 meta mark != 0x2a drop
      }
    }
    """
    with bench.relayed("--mark", "0x2a") as (lab, _):
        lab.host.run(["nft", "-f", "-"], stdin=drop)
        with (
            UdpServer(lab.net, *WHERE),
            Capture(lab.net, "isp0") as wire,
            lan_client(lab) as near,
        ):
            assert asked(near, b"x", WHERE) == b"x"
            assert len(wire.arrived("udp")) == 1


@pytest.mark.parametrize("shares", [1, 0], ids=["shares", "shares-not"])
def test_a_service_on_every_address_of_the_destinations_port(
    setup: tuple[Lab, bench.Running], shares: int
) -> None:
    """With SO_REUSEADDR it does no harm; without, nobody can answer in another's name."""
    lab, relay = setup
    with (
        lab.host.socket(socket.AF_INET, socket.SOCK_DGRAM) as service,
        UdpServer(lab.net, *WHERE) as server,
        lan_client(lab) as near,
    ):
        service.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, shares)
        service.bind(("0.0.0.0", 53))
        if shares:
            assert asked(near, b"x", WHERE) == b"x"
            service.settimeout(0)
            with pytest.raises(BlockingIOError):
                service.recv(10)
        else:
            near.sendto(b"x", WHERE)
            relay.wait_for_line("1.1.1.1:53 udp: cannot answer in its name: address already in use")
            assert server.heard == []
