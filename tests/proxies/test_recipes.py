"""Every recipe of ``examples/`` works as it stands, with Debian's own daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.inspect.doctor.finding import OK
from netplan_tproxy.inspect.doctor.listener import examine
from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.kernel.netlink.handle import Netlink
from netplan_tproxy.kernel.sockets.listeners import all_listeners, at
from netplan_tproxy.kernel.sockets.owners import owners
from netplan_tproxy.kernel.sockets.shared_port import shares_port
from netplan_tproxy.site.load import load
from tests.lab import Capture, diff_snapshots, snapshot
from tests.lab.datagrams import dns_answer, dns_question
from tests.proxies.recipes import RECIPES, SERVERS, SHARING, Recipe
from tests.proxies.stage import CLIENTS, Stage, of_client, staged

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

ADDRESSES = {
    ("host", 4): "10.77.0.2",
    ("host", 6): "fd77::2",
    ("lan", 4): "10.79.0.2",
    ("lan", 6): "fd79::2",
}


@pytest.fixture(scope="module", params=RECIPES, ids=lambda recipe: recipe.name)
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    recipe: Recipe = request.param
    with staged(recipe, tmp_path_factory.mktemp(recipe.name)) as made:
        yield made


@pytest.mark.parametrize("client", CLIENTS)
def test_pages_come_through_the_proxy(stage: Stage, client: str) -> None:
    where, _ = CLIENTS[client]
    for version in stage.recipe.versions("tcp"):
        with Capture(stage.lab.net, "isp0") as wire:
            answer = stage.fetch(client, version)
            end = ADDRESSES[where, version], answer.port
            assert of_client(wire.arrived(), "tcp", end) == []
        assert answer.body == f"hello from the internet, {stage.recipe.far[version]}\n"
        stage.wait_for_log(end, (SERVERS[version], 80))


@pytest.mark.parametrize("client", CLIENTS)
def test_names_are_resolved_through_the_proxy(stage: Stage, client: str) -> None:
    where, _ = CLIENTS[client]
    for version in stage.recipe.versions("udp"):
        with stage.udp(client, version) as resolver, Capture(stage.lab.net, "isp0") as wire:
            for number in (1, 2):
                asked = dns_question(number)
                resolver.sendto(asked, (SERVERS[version], 53))
                said, sender = resolver.recvfrom(1024)
                assert said == dns_answer(asked)
                assert sender[:2] == (SERVERS[version], 53)
            end = ADDRESSES[where, version], resolver.getsockname()[1]
            assert of_client(wire.arrived(), "udp", end) == []
        stage.wait_for_log(end, (SERVERS[version], 53))


def test_the_doctor_sees_that_the_proxy_does_not_call_itself(stage: Stage) -> None:
    with stage.lab.host.socket() as client:
        client.connect((SERVERS[4], 80))
        # Most connect to the far end when the client has said something.
        client.sendall(b"GET / HTTP/1.1\r\nHost: 1.1.1.1\r\n\r\n")
        assert client.recv(100)
        with stage.lab.host.entered():
            netlink = Netlink()
            target = Target(load(stage.recipe.site), netlink.links(), privileged=True)
            netlink.close()
            levels = [one.level for one in examine(target) if one.code == "listener.loop"]
    assert levels == [OK]


def test_the_listeners_share_no_port_where_the_proxy_can_do_without(stage: Stage) -> None:
    """Before Linux 6.6 a listener with SO_REUSEPORT gets no connection."""
    with stage.lab.host.entered():
        proxy = load(stage.recipe.site).proxy.tcp
        assert proxy is not None
        held = at(all_listeners(), "tcp", proxy.address, proxy.port)
        holders = owners(one.inode for one in held)
    shared = {shares_port(inode, [pid for pid, _ in who]) for inode, who in holders.items()}
    assert shared == {stage.recipe.name in SHARING}


def test_a_second_apply_changes_nothing(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.apply()
    assert capsys.readouterr().out == "no changes\n"


def test_a_proxy_that_is_started_anew_serves_at_once(stage: Stage) -> None:
    stage.stop()
    assert stage.curl("plain", 4).returncode == 7  # refused: nothing goes out past the proxy
    stage.start()
    assert stage.fetch("plain", 4).body.startswith("hello from the internet")


def test_destroy_leaves_no_trace_under_a_running_proxy(stage: Stage) -> None:
    applied = snapshot(stage.lab.host)
    stage.tproxy_apply("--destroy")
    bare = snapshot(stage.lab.host)
    assert bare["filters"] == []
    stage.apply()
    stage.tproxy_apply("--destroy")
    assert diff_snapshots(bare, snapshot(stage.lab.host)) == []
    stage.apply()
    assert len(snapshot(stage.lab.host)["filters"]) == len(applied["filters"])
