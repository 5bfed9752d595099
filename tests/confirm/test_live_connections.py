"""Connections that a change takes the way from, while it waits for confirmation and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab import Lab
from tests.lab.host import Host
from tests.lab.sabotage import killed
from tests.traffic import live
from tests.traffic.sockets import listener
from tests.traffic.support import BEHIND, BOUND, UNBOUND, V4, Applied, introduce

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
SENDERS = (UNBOUND, BOUND, BEHIND)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with Lab(lan=True, ipv6=True) as lab:
        introduce(lab)
        yield Host(lab, tmp_path)


def hold(host: Host, site: str) -> None:
    host.write(site)
    assert host.spawn(str(host.site), "--confirm", "600", "--detach").code == 0


@pytest.mark.parametrize("command", ["--rollback", "--commit"])
def test_they_wait_with_it_and_go_on_or_are_reset(host: Host, command: str) -> None:
    host.write(live.site())
    host.applied()
    on = Applied(host.lab)
    with listener(on, V4) as proxy:
        pairs = [on.pair(proxy, sender, V4) for sender in SENDERS]
        hold(host, live.site(listeners=("tcp6", "udp6")))
        for near, _ in pairs:
            near.sendall(b"before")  # TCP sends it again until somebody takes it
        assert host.run(command).code == 0
        for near, far in pairs:
            if command == "--rollback":
                assert far.recv(6) == b"before"
            else:
                with pytest.raises(ConnectionError):
                    near.recv(1)
            near.close()
            far.close()


def test_those_of_an_apply_that_goes_back_are_reset(host: Host) -> None:
    hold(host, live.site())
    on = Applied(host.lab)
    with listener(on, V4) as proxy:
        pairs = [on.pair(proxy, sender, V4) for sender in SENDERS]
        assert host.run("--rollback").code == 0
        for near, far in pairs:
            for end in (near, far):
                with pytest.raises(ConnectionError):
                    end.recv(1)
                end.close()


def test_those_that_a_killed_run_cut_off_are_reset_by_the_next(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write(live.site())
    host.applied()
    on = Applied(host.lab)
    with listener(on, V4) as proxy:
        pairs = [on.pair(proxy, sender, V4) for sender in SENDERS]
        host.write(live.site(interfaces={"lan0": "output", "wan0": "forward"}))
        last = host.apply("--dry-run").total - 1
        killed(host, monkeypatch, str(host.site), at=last, done=True)
        said = host.applied().out[-1]
        assert said == "reset 3 connections that no longer reach the proxy"
        for near, far in pairs:
            for end in (near, far):
                with pytest.raises(ConnectionError):
                    end.recv(1)
                end.close()


def test_a_connection_of_others_to_such_an_address_is_left_alone(host: Host) -> None:
    """A network may be local as a whole: its servers look as a transparent proxy's sockets do."""
    host.sh("ip route add local 9.9.9.0/24 dev lo")
    host.write(live.site())
    host.applied()
    on = Applied(host.lab)
    with host.namespace.socket() as server, listener(on, V4) as proxy:
        server.bind(("9.9.9.9", 80))
        server.listen()
        near = on.client(UNBOUND, V4)
        near.connect(("9.9.9.9", 80))
        far = server.accept()[0]
        pair = on.pair(proxy, UNBOUND, V4)
        host.run("--destroy")
        near.sendall(b"still there")
        assert far.recv(100) == b"still there"
        for end in (near, far, *pair):
            end.close()
