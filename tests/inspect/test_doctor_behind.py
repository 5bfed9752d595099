"""The packets that the doctor lets in as of machines behind: as those of everybody else there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.inspect.doctor import behind
from netplan_tproxy.inspect.doctor.finding import FAIL, OK, UNSEEN
from tests.inspect.obstacles import Stage, nft, nobody_was_asked
from tests.lab import Capture, Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

SITE = """\
version: 1
interfaces: {lan0: {intercept: forward}}
proxy: {tcp: {port: 9040}, tcp6: {port: 9040}, udp: {port: 9040}, udp6: {port: 9040}}
"""
ALL = {"tcp", "tcp6", "udp", "udp6"}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Lab(lan=True, ipv6=True) as lab:
        made = Stage(lab, tmp_path_factory.mktemp("site"))
        made.write(SITE)
        made.applied()
        yield made


def of_level(host: Stage, level: str) -> set[str]:
    every = host.found(behind.examine)
    return {one.code.removeprefix("behind.") for one in every if one.level == level}


def test_where_all_works_it_is_fine_and_nobody_hears_of_it(host: Stage) -> None:
    assert host.lab.lan is not None
    with (
        host.proxies() as proxies,
        Capture(host.lab.lan, "eth0") as lan,
        Capture(host.lab.net, "isp0") as wire,
    ):
        assert of_level(host, OK) == ALL
        assert lan.arrived() == []
        assert wire.arrived() == []
        assert nobody_was_asked(proxies)


@pytest.mark.parametrize(
    ("lines", "lost"),
    [
        (("type filter hook prerouting priority -150;", "meta mark set 0x4"), ALL),
        (
            (
                "type filter hook prerouting priority -300;",
                "fib saddr . mark . iif oif missing drop",
            ),
            ALL,
        ),
        (
            ("type filter hook input priority 0; policy drop;", "ct state established accept"),
            ALL,
        ),
        (("type filter hook input priority 0;", "meta l4proto tcp drop"), {"tcp", "tcp6"}),
        (("type filter hook forward priority 0;", "drop"), set()),
    ],
)
def test_whatever_is_in_the_way_is_met(host: Stage, lines: tuple[str, ...], lost: set[str]) -> None:
    with host.proxies(), nft(host, *lines):
        assert of_level(host, FAIL) == lost
        assert of_level(host, OK) == ALL - lost


def test_a_host_that_does_not_forward_is_met(host: Stage) -> None:
    host.namespace.sysctl("net.ipv4.ip_forward", 0)
    try:
        with host.proxies():
            assert of_level(host, FAIL) == {"tcp", "udp"}
            assert of_level(host, OK) == {"tcp6", "udp6"}
    finally:
        host.namespace.sysctl("net.ipv4.ip_forward", 1)


def test_what_is_not_intercepted_is_not_sent(host: Stage) -> None:
    host.write(SITE + "bypass: {from: [10.79.0.0/24, 'fd79::/64']}\n")
    host.applied()
    try:
        with host.proxies():
            assert of_level(host, UNSEEN) == ALL
    finally:
        host.write(SITE)
        host.applied()
