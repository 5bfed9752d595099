"""What will surprise is said when a file is applied, a line each, and nothing else is."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from tests.lab import Lab
from tests.lab.host import SITE, Host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
IP_TRANSPARENT = 19


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with Lab(lan=True, wans=2) as lab:
        made = Host(lab, tmp_path)
        yield made
        made.run("--destroy")


def said(host: Host, *options: str) -> list[str]:
    done = host.apply("--dry-run", *options)
    assert (done.code, done.err) == (0, "")
    return [line.removeprefix("! ") for line in done.out if line.startswith("! ")]


def listener(
    host: Host, family: int, kind: int, address: str, *, transparent: bool
) -> socket.socket:
    made = host.namespace.socket(family, kind)
    if transparent:
        level, option = (socket.SOL_IP, IP_TRANSPARENT)
        if family == socket.AF_INET6:
            level, option = socket.IPPROTO_IPV6, 75
        made.setsockopt(level, option, 1)
    made.bind((address, 9040))
    if kind == socket.SOCK_STREAM:
        made.listen()
    return made


def test_nobody_who_listens_is_named_and_what_becomes_of_the_traffic(host: Host) -> None:
    assert said(host) == ["nobody listens on tcp 127.0.0.1:9040: new connections are refused"]
    host.write(SITE.replace("port: 9040", "port: 9040, when_down: bypass"))
    assert said(host) == ["nobody listens on tcp 127.0.0.1:9040: new connections go out directly"]


def test_a_right_host_hears_nothing(host: Host) -> None:
    with listener(host, socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1", transparent=True):
        assert said(host) == []
        host.applied()
        assert host.applied().out == ["no changes"]


def test_a_listener_without_the_transparent_flag_is_named(host: Host) -> None:
    host.write(
        SITE.replace("{port: 9040}", "{tcp: {port: 9040}, tcp6: {port: 9040}, udp: {port: 9040}}")
    )
    with (
        listener(host, socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1", transparent=False),
        listener(host, socket.AF_INET6, socket.SOCK_STREAM, "::1", transparent=False),
        listener(host, socket.AF_INET, socket.SOCK_DGRAM, "127.0.0.1", transparent=False),
    ):
        lines = [line.partition(" is not a transparent")[0] for line in said(host)]
    assert lines == ["tcp 127.0.0.1:9040", "tcp [::1]:9040", "udp 127.0.0.1:9040"]


ELSEWHERE = (
    "{}:5:{}: proxy.{}.address: {} is not an address of this host, and nobody listens there: only "
    "a transparent socket can be bound to it, or one that starts once the address is there"
)


@pytest.mark.parametrize(("name", "address"), [("tcp", "10.9.9.9"), ("udp6", "fd99::9")])
def test_a_listener_that_nobody_has_at_an_address_that_is_not_here_is_named(
    host: Host, name: str, address: str
) -> None:
    four, six = socket.AF_INET, socket.AF_INET6
    family, kind = (four, socket.SOCK_STREAM) if name == "tcp" else (six, socket.SOCK_DGRAM)
    site = SITE.replace("{port: 9040}", f"\n  {name}: {{address: '{address}', port: 9040}}")
    host.write(site)
    line = ELSEWHERE.format(host.site, len(name) + 6, name, address)
    assert line in said(host)
    version = "-6" if family == six else "-4"
    bits = address + ("/128" if family == six else "/32")
    number = "ipv6" if family == six else "ipv4"
    # A transparent socket can be bound to it.
    with listener(host, family, kind, address, transparent=True):
        assert line not in said(host)
    assert line in said(host)
    # Any can, where the kernel is told so.
    host.namespace.sysctl(f"net.{number}.ip_nonlocal_bind", 1)
    assert line not in said(host)
    host.namespace.sysctl(f"net.{number}.ip_nonlocal_bind", 0)
    # A local route makes addresses this host's that no interface has.
    host.sh(f"ip {version} route add local {bits} dev lo")
    assert line not in said(host)


@pytest.mark.parametrize("name", ["tcp: {address: 0.0.0.0", "tcp6: {address: '::'"])
def test_every_address_is_one_of_this_hosts(host: Host, name: str) -> None:
    host.write(SITE.replace("{port: 9040}", f"{{{name}, port: 9040}}}}"))
    assert not [line for line in said(host) if "no address of this host" in line]


def test_forwarding_that_is_off_is_named_unless_the_file_turns_it_on(host: Host) -> None:
    host.namespace.sysctl("net.ipv4.ip_forward", 0)
    site = "version: 1\ninterfaces:\n  lan0: {intercept: forward}\nproxy: {port: 9040}\n"
    with listener(host, socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1", transparent=True):
        host.write(site)
        (line,) = said(host)
        assert line.startswith("this host does not forward what comes in by lan0 (net.ipv4.conf.")
        host.write(f"{site}sysctls: {{net.ipv4.ip_forward: 1}}\n")
        assert said(host) == []


def test_ipv6_that_is_left_alone_is_named(host: Host) -> None:
    host.sh("ip -6 addr add fd77::2/64 dev wan0 nodad", "ip -6 route add default via fd77::1")
    with listener(host, socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1", transparent=True):
        (line,) = said(host)
    assert line.endswith(
        "proxy: has no tcp6, and this host has a default route over IPv6: all of that goes out "
        "directly"
    )


def test_a_default_route_by_an_interface_that_is_not_named_is(host: Host) -> None:
    host.sh("ip route replace default via 10.78.0.1 dev wan1 metric 0")
    with listener(host, socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1", transparent=True):
        (line,) = said(host)
    assert line.startswith("the default route leaves by wan1, which the file does not name")


def drift(host: Host) -> list[str]:
    done = host.run("--doctor", str(host.site), "--json")
    findings = json.loads("\n".join(done.out))["findings"]
    return [one["text"] for one in findings if one["code"] == "applied.drift"]


@pytest.mark.parametrize(
    ("lost", "named"),
    [
        ("ip rule del priority 1000", "+ rule 1000: fwmark 0x1/0x1 lookup 100"),
        ("tc qdisc del dev wan0 clsact", "+ qdisc at the ingress of wan0: clsact"),
        ("ip route flush table 100", "+ route default table 100: local dev lo"),
    ],
)
def test_doctor_fails_where_something_of_what_was_applied_is_gone(
    host: Host, lost: str, named: str
) -> None:
    host.applied()
    assert drift(host) == [f"the kernel is as {host.site} says"]
    host.sh(lost)
    texts = drift(host)
    assert host.run("--doctor", str(host.site)).code == 1
    assert f"not as {host.site} says: {named}" in texts


def test_doctor_names_the_interface_that_the_file_does_not(host: Host) -> None:
    host.sh("ip route replace default via 10.78.0.1 dev wan1 metric 0")
    shown = "\n".join(host.run("--doctor", str(host.site)).out)
    assert "the default route leaves by wan1" in " ".join(shown.split())
