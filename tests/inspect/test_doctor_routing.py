"""What the doctor says of source NAT on the uplink, and of routes that only a mark leads to."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from netplan_tproxy.cli import main as cli
from netplan_tproxy.datapath import marked_routes
from netplan_tproxy.inspect import doctor
from netplan_tproxy.inspect.doctor.finding import FAIL, OK, WARN
from netplan_tproxy.kernel.bpf.btf import knows_lookups_by_mark
from tests.lab.counters import counting
from tests.lab.marked_route import marked_away
from tests.traffic import support
from tests.traffic.sockets import answer, listener, receive
from tests.traffic.support import BEHIND, UNBOUND, V4, Applied

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
DGRAM = socket.SOCK_DGRAM


@pytest.fixture(scope="module")
def host() -> Iterator[Applied]:
    with support.applied() as made:
        yield made


def level(host: Applied, folder: Path, code: str) -> str:
    path = folder / "site.yaml"
    path.write_text(support.make_site())
    with host.lab.host.entered():
        report = doctor.examine(str(path), named=True)
    return next(one.level for one in report.findings if one.code == code)


def answered(host: Applied) -> bool:
    """Whether a datagram of this host's, of a socket that is not connected, is answered."""
    with listener(host, V4, DGRAM) as proxy, host.client(UNBOUND, V4, DGRAM) as near:
        proxy.settimeout(0.5)
        near.settimeout(0.5)
        near.sendto(b"question", (V4.far, 53))
        try:
            answer(host, receive(proxy), b"answer")
            return near.recv(10) == b"answer"
        except TimeoutError:
            return False


@pytest.mark.parametrize(
    ("rule", "works"),
    [
        ("oifname wan0 masquerade", True),
        ("oifname wan0 masquerade random", True),
        ("oifname wan0 masquerade fully-random", True),
        ("ip saddr 10.79.0.0/24 masquerade fully-random", True),
        ("ip saddr 10.77.0.0/24 masquerade fully-random", True),
        ("oifname wan0 snat to 10.77.0.9", False),
        ("oifname wan0 snat to 10.77.0.2", True),
        ("ip saddr 10.79.0.0/24 snat to 10.77.0.9", True),
        ("ip saddr 10.77.0.0/24 snat to 10.77.0.9", False),
        ("oifname lan0 snat to 10.77.0.9", True),
        ("iifname lan0 snat to 10.77.0.9", True),
        ("fib saddr type local accept\noifname wan0 snat to 10.77.0.9", True),
    ],
)
def test_source_nat_is_called_a_trap_just_when_it_is_one(
    host: Applied,
    tmp_path: Path,
    rule: str,
    works: bool,  # noqa: FBT001
) -> None:
    first = "type nat hook postrouting priority srcnat"
    table = f"table ip others {{\nchain last {{\n{first}\n{rule}\n}}\n}}\n"
    host.lab.host.run(["nft", "-f", "-"], stdin=table)
    try:
        assert answered(host) == works
        assert level(host, tmp_path, "nat.source") == (OK if works else WARN)
    finally:
        host.lab.host.run(["nft", "flush", "ruleset"])


@pytest.fixture
def marked(host: Applied) -> Iterator[None]:
    with marked_away(host.lab.host):
        yield


def apply(host: Applied, folder: Path, capsys: pytest.CaptureFixture[str], text: str) -> str:
    site = folder / "site.yaml"
    site.write_text(text)
    with host.lab.host.entered():
        capsys.readouterr()
        assert cli.main([str(site)]) == 0
    return capsys.readouterr().out


@pytest.mark.usefixtures("marked")
def test_a_default_route_that_only_a_mark_leads_to_is_followed_once_it_is_applied(
    host: Applied, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not knows_lookups_by_mark():
        pytest.skip("this kernel looks up no route by a mark")
    assert counted(host) == {"local"}
    assert level(host, tmp_path, "applied.drift") == FAIL
    out = apply(host, tmp_path, capsys, support.make_site())
    assert "leads to a default route" not in out
    assert counted(host) == {"intercepted", "new"}
    for code in ("routes.mark", "applied.drift"):
        assert level(host, tmp_path, code) == OK
    host.lab.host.run(["ip", "route", "add", "default", "via", "10.77.0.1", "metric", "4000"])
    assert level(host, tmp_path, "applied.drift") == OK


@pytest.mark.usefixtures("marked")
def test_a_default_route_that_only_a_mark_leads_to_is_named_where_no_program_can_follow(
    host: Applied,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The advice helps, and what is marked takes its own route all the same."""
    monkeypatch.setattr(marked_routes, "knows_lookups_by_mark", lambda: False)
    text = support.make_site(when_down="bypass")
    assert "leads to a default route" in apply(host, tmp_path, capsys, text)
    assert level(host, tmp_path, "routes.mark") == WARN
    assert counted(host) == {"local"}
    host.lab.host.run(["ip", "route", "add", "default", "via", "10.77.0.1", "metric", "4000"])
    host.lab.host.run(["ip", "-6", "route", "add", "default", "via", "fd77::1", "metric", "4000"])
    assert level(host, tmp_path, "routes.mark") == OK
    assert counted(host) == {"intercepted", "new"}


def test_without_rules_by_mark_there_is_nothing_to_follow(host: Applied, tmp_path: Path) -> None:
    assert level(host, tmp_path, "routes.mark") == OK


def counted(host: Applied) -> set[str]:
    """What becomes of a datagram from behind."""
    with (
        listener(host, V4, DGRAM),
        host.client(BEHIND, V4, DGRAM) as near,
        counting(host) as added,
    ):
        near.sendto(b"?", (V4.far, 53))
    return {outcome for device, outcome in added if device == "lan0"}
