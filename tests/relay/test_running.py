from __future__ import annotations

import signal
import socket
import subprocess
import sys

import pytest

from netplan_tproxy.relay.cli import main
from tests.lab import Capture, EchoServer, Lab
from tests.lab.patience import PATIENCE
from tests.lab.streams import read_all
from tests.relay import bench

LISTEN = ("--listen", "127.0.0.1:9040")


@pytest.mark.lab
def test_a_sigterm_lets_running_connections_finish() -> None:
    with bench.relayed() as (lab, relay), EchoServer(lab.net) as echo:
        with bench.client(lab, port=7) as near:
            near.sendall(b"before")
            assert near.recv(6) == b"before"
            relay.process.terminate()
            relay.wait_for_line("draining 1 connections for up to 10 s")
            # Without a listener nftables lets the next one pass by the relay.
            with bench.client(lab, port=7) as direct:
                direct.shutdown(socket.SHUT_WR)
                assert read_all(direct) == b""
            near.sendall(b"after")
            near.shutdown(socket.SHUT_WR)
            assert read_all(near) == b"after"
        assert [address for address, _ in echo.peers] == ["10.77.0.2", "10.79.0.2"]
        assert relay.process.wait(PATIENCE) == 0


@pytest.mark.lab
def test_what_outlives_the_drain_is_reset_and_the_exit_is_clean() -> None:
    with bench.relayed("--drain-seconds", "0.2") as (lab, relay), EchoServer(lab.net):
        with bench.client(lab, port=7) as near:
            near.sendall(b"x")
            assert near.recv(1) == b"x"
            relay.process.terminate()
            with pytest.raises(ConnectionResetError):
                near.recv(1)
        assert relay.process.wait(PATIENCE) == 0


@pytest.mark.lab
def test_a_second_signal_ends_the_drain() -> None:
    with bench.relayed("--drain-seconds", "60") as (lab, relay), EchoServer(lab.net):
        with bench.client(lab, port=7) as near:
            near.sendall(b"x")
            assert near.recv(1) == b"x"
            relay.process.send_signal(signal.SIGINT)
            relay.wait_for_line("draining")
            relay.process.send_signal(signal.SIGINT)
            assert relay.process.wait(PATIENCE) == 0


@pytest.mark.lab
def test_an_idle_relay_ends_at_once(lab: Lab) -> None:
    relay = bench.start(lab.host, *LISTEN, "--drain-seconds", "60")
    assert relay.wait_for_line("listening") == "tproxy-relay: listening on 127.0.0.1:9040"
    relay.process.terminate()
    assert relay.process.wait(3) == 0


@pytest.mark.lab
def test_connections_above_the_limit_wait_their_turn() -> None:
    with bench.relayed("--max-connections", "1") as (lab, _), EchoServer(lab.net):
        with bench.client(lab, port=7) as first, bench.client(lab, port=7) as second:
            first.sendall(b"1")
            assert first.recv(1) == b"1"
            second.sendall(b"2")
            second.settimeout(0.3)
            with pytest.raises(TimeoutError):
                second.recv(1)
            first.close()
            second.settimeout(PATIENCE)
            assert second.recv(1) == b"2"


@pytest.mark.lab
@pytest.mark.parametrize("listen", ["127.0.0.1:9040", "0.0.0.0:9040"])
def test_a_connection_to_the_relay_itself_is_refused(lab: Lab, listen: str) -> None:
    relay = bench.start(lab.host, "--listen", listen)
    relay.wait_for_line("listening")
    with pytest.raises(ConnectionResetError):
        bench.first_byte(lab, "127.0.0.1", 9040, origin=lab.host)
    relay.wait_for_line("> 127.0.0.1:9040: refused: it was made to the relay itself")


@pytest.mark.lab
def test_the_relays_own_connection_coming_back_is_refused_once() -> None:
    rules = """
    table ip own {
      chain outgoing {
        type route hook output priority mangle
        oifname wan0 meta l4proto tcp meta mark set 1
      }
      chain incoming {
        type filter hook prerouting priority mangle
        iifname lo meta mark 1 meta l4proto tcp tproxy to 127.0.0.1:9040
      }
    }
    """
    with bench.relayed() as (lab, relay):
        lab.host.run(["nft", "-f", "-"], stdin=rules)
        lab.host.sysctl("net.ipv4.conf.lo.accept_local", 1)
        with pytest.raises(ConnectionResetError):
            bench.first_byte(lab)
        relay.wait_for_line(
            r"10\.77\.0\.2:\d+ > 1\.1\.1\.1:5000: refused: it is the relay's own connection"
        )


@pytest.mark.lab
def test_upstream_packets_carry_the_mark() -> None:
    drop = """
    table ip own {
      chain leaving {
        type filter hook postrouting priority 0
        meta mark 0x2a drop
      }
    }
    """
    with bench.relayed("--mark", "0x2a", "--connect-timeout", "0.3") as (lab, relay):
        lab.host.run(["nft", "-f", "-"], stdin=drop)
        with Capture(lab.net, "isp0") as wire:
            with pytest.raises(ConnectionResetError):
                bench.first_byte(lab)
            relay.wait_for_line("timed out")
            assert wire.arrived("tcp") == []


@pytest.mark.lab
def test_several_listeners(lab: Lab) -> None:
    relay = bench.start(lab.host, *LISTEN, "--listen", "[::1]:9041")
    line = relay.wait_for_line("listening")
    assert line == "tproxy-relay: listening on 127.0.0.1:9040, [::1]:9041"


@pytest.mark.lab
def test_a_port_in_use_is_one_clear_line(lab: Lab) -> None:
    with lab.host.socket() as taken:
        taken.bind(("127.0.0.1", 9040))
        taken.listen(1)
        done = lab.host.run([bench.PYTHON, "-m", "netplan_tproxy.relay", *LISTEN], check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "tproxy-relay: cannot listen on 127.0.0.1:9040: address already in use\n"
    )


@pytest.mark.lab
@pytest.mark.parametrize(
    ("mark", "line"),
    [
        ("0", "cannot listen on 127.0.0.1:9040: a transparent socket needs CAP_NET_ADMIN"),
        ("0x2", "cannot set mark 0x2: needs CAP_NET_ADMIN"),
    ],
)
def test_a_missing_capability_is_named(lab: Lab, mark: str, line: str) -> None:
    without = ["setpriv", "--bounding-set=-net_admin,-net_raw", "--inh-caps=-net_admin,-net_raw"]
    relay = [bench.PYTHON, "-m", "netplan_tproxy.relay", *LISTEN, "--mark", mark]
    done = lab.host.run([*without, "--", *relay], check=False)
    assert (done.returncode, done.stderr) == (1, f"tproxy-relay: {line}\n")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "the following arguments are required: --listen"),
        (["--listen", "9040"], "9040: expected ADDRESS:PORT, such as 127.0.0.1:9040"),
        (["--listen", "127.0.0.1:x"], "127.0.0.1:x: expected ADDRESS:PORT"),
        (["--listen", "127.0.0.1:65536"], "127.0.0.1:65536: a port is at most 65535"),
        (["--listen", "here:80"], "here:80: here is not an IP address"),
        (["--listen", ":80"], ":80: nothing is not an IP address"),
        (["--listen", "::1:80"], "::1:80: brackets belong around IPv6 addresses"),
        (["--listen", "[1.1.1.1]:80"], "[1.1.1.1]:80: brackets belong around IPv6 addresses"),
        ([*LISTEN, "--mark", "two"], "two: expected a number, such as 0x2"),
        ([*LISTEN, "--mark", "0x100000000"], "0x100000000: a mark has 32 bits"),
        ([*LISTEN, "--max-connections", "0"], "0: expected a whole number from 1"),
        ([*LISTEN, "--udp-max", "0"], "0: expected a whole number from 1"),
        ([*LISTEN, "--udp-idle", "0"], "0: expected more than no time at all"),
        ([*LISTEN, "--udp-idle", "-1"], "-1: expected seconds, such as 10 or 0.5"),
        ([*LISTEN, "--connect-timeout", "nan"], "nan: expected seconds, such as 10 or 0.5"),
        ([*LISTEN, "--drain-seconds", "-1"], "-1: expected seconds, such as 10 or 0.5"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_64(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 64
    said = capsys.readouterr().err
    assert complaint in said
    assert said.startswith("tproxy-relay: ")
    assert said.count("\n") == 1


def test_it_starts_without_what_only_the_planner_needs() -> None:
    code = (
        "import sys, netplan_tproxy.relay.cli, netplan_tproxy.relay.server;"
        "print(sorted({'pyroute2', 'bcc', 'yaml', 'jsonschema'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
