"""The packets that the doctor sends: they fare as those of everybody else, and disturb nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.inspect.doctor import path
from netplan_tproxy.inspect.doctor.finding import FAIL, OK, UNSEEN, Finding
from tests.inspect.obstacles import Stage, nft, nobody_was_asked
from tests.lab import Capture, Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

SITE = """\
version: 1
interfaces: {wan0: {}, wan1: {}}
proxy: {tcp: {port: 9040}, tcp6: {port: 9040}, udp: {port: 9040}, udp6: {port: 9040}}
"""
LISTENERS = ("tcp", "tcp6", "udp", "udp6")
WAYS = ("by wan0", "bound to wan0", "bound to wan1")
ALL = {(name, way) for name in LISTENERS for way in WAYS}


def sent(host: Stage) -> list[Finding]:
    return host.found(path.examine)


def of_level(host: Stage, level: str) -> set[tuple[str, str]]:
    """The listeners, and the ways to them, of which the doctor says so."""
    return {
        (one.code.removeprefix("path."), way)
        for one in sent(host)
        for way in WAYS
        if one.level == level and way in one.text
    }


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Lab(wans=2, ipv6=True) as lab:
        made = Stage(lab, tmp_path_factory.mktemp("site"))
        made.write(SITE)
        made.applied()
        yield made


def test_where_all_works_each_way_is_fine_and_neither_proxy_nor_wire_hears_of_it(
    host: Stage,
) -> None:
    with host.proxies() as proxies, Capture(host.lab.net, "isp0") as wire:
        assert of_level(host, OK) == ALL
        assert of_level(host, FAIL) == set()
        assert [one for one in wire.arrived() if one.proto in {"tcp", "udp"}] == []
        assert nobody_was_asked(proxies)


def test_it_leaves_neither_sockets_nor_half_open_connections_behind(host: Stage) -> None:
    with host.proxies():
        before = host.namespace.run(["ss", "-Hantu"]).stdout
        sent(host)
        assert host.namespace.run(["ss", "-Hantu"]).stdout == before


@pytest.mark.parametrize(
    ("lines", "lost"),
    [
        # iptables -t mangle -A PREROUTING -j MARK --set-mark 4
        (("type filter hook prerouting priority -150;", "meta mark set 0x4"), ALL),
        # iptables -t raw -A PREROUTING -m rpfilter --invert -j DROP
        (("type filter hook prerouting priority -300;", "fib saddr . iif oif missing drop"), ALL),
        # sshuttle (tproxy): what it marks 1 in OUTPUT is routed by table 100, as ours is. A
        # socket that is bound to a device stays there.
        (
            ("type route hook output priority -150;", "meta l4proto tcp meta mark set 0x1"),
            {("tcp", "by wan0"), ("tcp6", "by wan0")},
        ),
        (
            (
                "type filter hook input priority 0; policy drop;",
                "meta l4proto ipv6-icmp accept",
                "ct state established accept",
            ),
            ALL,
        ),
        (
            ("type filter hook output priority 0;", "udp dport 80 drop"),
            {(name, way) for name in ("udp", "udp6") for way in WAYS},
        ),
        # What comes back to a bound client comes in by its device.
        (
            ("type filter hook input priority 0;", 'iifname "wan1" drop'),
            {(name, "bound to wan1") for name in LISTENERS},
        ),
        (("type filter hook input priority 0;", "meta mark and 0x1 == 0x1 accept"), set()),
    ],
)
def test_whatever_is_in_the_way_is_met(
    host: Stage, lines: tuple[str, ...], lost: set[tuple[str, str]]
) -> None:
    with host.proxies(), nft(host, *lines):
        assert of_level(host, FAIL) == lost
        assert of_level(host, OK) == ALL - lost


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("type filter hook prerouting priority -150;", "meta mark set 0x4"), "lost before"),
        (("type filter hook output priority 0;", "drop"), "never reaches our program"),
        (
            ("type filter hook input priority 0;", "ip saddr 192.0.2.1 drop"),
            "the answer does not come back",
        ),
    ],
)
def test_it_is_said_where_the_packet_was_lost(
    host: Stage, lines: tuple[str, ...], words: str
) -> None:
    with host.proxies(), nft(host, *lines):
        (one,) = [one for one in sent(host) if one.code == "path.tcp" and "by wan0" in one.text]
    assert words in one.text


def test_what_is_lost_is_kept_from_the_wire(host: Stage) -> None:
    host.namespace.sysctl("net.ipv4.ip_forward", 1)
    lines = "type filter hook prerouting priority -150;", "meta mark set 0x4"
    with host.proxies(), nft(host, *lines), Capture(host.lab.net, "isp0") as wire:
        assert of_level(host, FAIL) == ALL
        assert [one for one in wire.arrived() if one.dst == "192.0.2.1"] == []
    host.namespace.sysctl("net.ipv4.ip_forward", 0)


def test_without_a_listener_it_says_nothing_of_the_way(host: Stage) -> None:
    assert of_level(host, UNSEEN) == ALL


def test_a_listener_that_is_not_transparent_is_none_for_the_way_too(host: Stage) -> None:
    with host.proxies(transparent=False):
        assert ("tcp", "by wan0") not in of_level(host, OK)
        shown = " ".join(host.run("--doctor", str(host.site)).out)
        assert "is not transparent" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("more", "sent"),
    [
        ("bypass: {users: [root]}\n", OK),
        ("intercept: {to: [5.6.7.0/24], ports: [8080]}\n", OK),
        ("bypass: {to: [192.0.2.0/24]}\n", OK),
        ("bypass: {users: [root, 65534]}\n", UNSEEN),
    ],
)
def test_it_sends_what_the_site_file_intercepts(host: Stage, more: str, sent: str) -> None:
    host.write(SITE + more)
    host.applied()
    try:
        with host.proxies():
            assert {("tcp", "bound to wan0"), ("udp", "bound to wan1")} <= of_level(host, sent)
            assert of_level(host, FAIL) == set()
    finally:
        host.write(SITE)
        host.applied()
