"""The doctor against the truth: what it calls broken is, and the other way round.

Each trap is set for real on an applied host; then a client tries, and the doctor looks.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import time
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.cli import main as cli
from netplan_tproxy.inspect.doctor import conflicts, listener, marks, netfilter, network
from netplan_tproxy.inspect.doctor.finding import FAIL, OK, WARN, Finding
from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.kernel.bpf.programs import load_program
from netplan_tproxy.kernel.features import SCHED_CLS
from netplan_tproxy.kernel.netlink.handle import Netlink
from netplan_tproxy.kernel.netlink.tc import CLSACT_EGRESS, FilterRecord
from netplan_tproxy.site.load import load
from netplan_tproxy.site.model import Mark
from tests.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

SITE = """\
version: 1
interfaces:
  wan0: {}
  wan1: {}
  lan0: {intercept: forward}
proxy: {port: 9040}
"""
IP_TRANSPARENT, BINDTODEVICE = 19, 25
CLIENTS = ("", "wan0", "wan1", "lan")
CONF = "net.ipv4.conf"


class Host:
    """An applied HOST, its clients and what the doctor says."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.host = lab, lab.host
        self.site = folder / "site.yaml"
        self.site.write_text(SITE)
        with self.host.entered():
            assert cli.main([str(self.site)]) == 0

    def proxy(self, address: str = "127.0.0.1", *, transparent: bool = True) -> socket.socket:
        made = self.host.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ":" in address:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if transparent:
            made.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
        made.bind((address, 9040))
        made.listen(64)
        return made

    def broken(self, proxy: socket.socket) -> set[str]:
        """The clients (by the device they are bound to, or "lan") that get no byte through."""
        proxy.settimeout(0)
        with contextlib.ExitStack() as held:
            near = {name: held.enter_context(self.client(name)) for name in CLIENTS}
            left = dict(near)
            deadline = time.monotonic() + 0.3
            while left and time.monotonic() < deadline:
                ready, _, _ = select.select([proxy, *left.values()], [], [], 0.05)
                if proxy in ready:
                    with contextlib.suppress(BlockingIOError):
                        held.enter_context(proxy.accept()[0]).sendall(b"!")
                for name in [name for name in left if left[name] in ready]:
                    with contextlib.suppress(OSError):
                        if near[name].recv(1) == b"!":
                            del left[name]
            return set(left)

    def client(self, name: str) -> socket.socket:
        """One that is on its way to 1.1.1.1."""
        lan = self.lab.lan
        made = (lan if lan and name == "lan" else self.host).socket()
        made.settimeout(0)
        if name.startswith("wan"):
            made.setsockopt(socket.SOL_SOCKET, BINDTODEVICE, name.encode())
        made.connect_ex(("1.1.1.1", 80))
        return made

    def found(self) -> dict[str, Finding]:
        """What is not well, by code."""
        with self.host.entered():
            netlink = Netlink()
            target = Target(load(self.site), netlink.links(), privileged=True)
            netlink.close()
            every = [
                one
                for group in (network, listener, marks, netfilter, conflicts)
                for one in group.examine(target)
            ]
        return {one.code: one for one in every if one.level in {FAIL, WARN}}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with Lab(wans=2, lan=True) as lab:
        yield Host(lab, tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def proxy(host: Host) -> Iterator[socket.socket]:
    with host.proxy() as made:
        yield made


@pytest.fixture
def sysctls(host: Host) -> Iterator[dict[str, str]]:
    """Names and values to set; they go back."""
    before: dict[str, str] = {}
    yield before
    for name, value in before.items():
        host.host.sysctl(name, value)


def test_nothing_is_found_where_all_works(host: Host, proxy: socket.socket) -> None:
    assert host.broken(proxy) == set()
    assert host.found() == {}


OUTPUT, BEHIND, SECOND = {"", "wan0", "wan1"}, {"lan"}, {"wan1"}


@pytest.mark.parametrize(
    ("settings", "victims", "codes"),
    [
        ({f"{CONF}.all.rp_filter": 1}, SECOND, {"rp_filter"}),
        ({f"{CONF}.wan1.rp_filter": 1}, SECOND, {"rp_filter"}),
        ({f"{CONF}.wan0.rp_filter": 1}, set(), set()),
        ({f"{CONF}.all.rp_filter": 2}, set(), set()),
        ({f"{CONF}.all.rp_filter": 1, f"{CONF}.wan1.rp_filter": 2}, set(), set()),
        ({f"{CONF}.all.src_valid_mark": 1}, BEHIND, {"src_valid_mark"}),
        ({f"{CONF}.lan0.src_valid_mark": 1}, BEHIND, {"src_valid_mark"}),
        ({f"{CONF}.lo.src_valid_mark": 1}, set(), set()),
        ({f"{CONF}.wan0.src_valid_mark": 1}, set(), set()),
        ({f"{CONF}.all.src_valid_mark": 1, f"{CONF}.lan0.accept_local": 1}, set(), set()),
        ({"net.ipv4.tcp_fwmark_accept": 1}, BEHIND, {"tcp_fwmark_accept"}),
        ({"net.ipv4.fwmark_reflect": 1}, set(), set()),
        ({"net.ipv4.ip_forward": 0}, BEHIND, {"ip_forward"}),
    ],
)
def test_a_sysctl_is_called_a_trap_just_when_it_is_one(  # noqa: PLR0917
    host: Host,
    proxy: socket.socket,
    sysctls: dict[str, str],
    settings: dict[str, int],
    victims: set[str],
    codes: set[str],
) -> None:
    for name, value in settings.items():
        sysctls[name] = host.host.sysctl(name)
        host.host.sysctl(name, value)
    assert host.broken(proxy) == victims
    assert set(host.found()) == {f"network.{code}" for code in codes}


@pytest.mark.parametrize(
    ("rule", "victims", "level"),
    [
        ("fwmark 0x1/0x1 lookup 77 pref 500", OUTPUT | BEHIND, FAIL),
        ("fwmark 0x1 lookup 77 pref 500", OUTPUT | BEHIND, FAIL),
        ("lookup 77 pref 500", OUTPUT | BEHIND, FAIL),
        ("not fwmark 0xca6c lookup 77 pref 500", OUTPUT | BEHIND, FAIL),
        ("fwmark 0/0x10000 lookup 77 pref 500", OUTPUT | BEHIND, FAIL),
        ("not fwmark 0xca6c lookup 77 pref 5000", set(), OK),
        ("fwmark 0x80000/0xff0000 lookup 77 pref 5210", set(), OK),
        ("lookup 78 pref 500", set(), OK),
        ("lookup 77 pref 1000 protocol 99", set(), OK),  # ours was there first
        ("fwmark 0x3 lookup 77 pref 500", set(), OK),
        ("fwmark 0x10001 lookup 77 pref 500", set(), WARN),
        ("iif wan0 lookup 77 pref 500", set(), WARN),
        ("fwmark 0x101/0x101 lookup 77 pref 5000", set(), WARN),
    ],
)
def test_a_rule_of_others_is_called_a_collision_just_when_it_is_one(
    host: Host, proxy: socket.socket, rule: str, victims: set[str], level: str
) -> None:
    ip = host.host.run
    ip(["ip", "route", "add", "default", "via", "10.77.0.1", "table", "77"])
    ip(["ip", "route", "add", "10.79.0.0/24", "dev", "lan0", "table", "77"])
    ip(["ip", "rule", "add", *rule.split()])
    try:
        assert host.broken(proxy) == victims
        found = host.found()
        assert {one.level for one in found.values()} == ({level} - {OK})
        assert set(found) <= {"marks.rules"}
    finally:
        ip(["ip", "rule", "del", *rule.split()])
        ip(["ip", "route", "flush", "table", "77"])


FIRST = "type filter hook prerouting priority -150"
INPUT = "type filter hook input priority 0; policy drop"
STATED = "ct state established,related accept"
COMMAND = re.compile(r"`(nft [^`]*)`")


@pytest.mark.parametrize(
    ("chain", "victims", "codes"),
    [
        (f"{FIRST}; meta mark set 0x100", OUTPUT | BEHIND, {"marks"}),
        (f"{FIRST}; meta mark set ct mark", OUTPUT | BEHIND, {"marks"}),
        (f"{FIRST}; meta mark set meta mark and 0xfffffffe", OUTPUT | BEHIND, {"marks"}),
        (f"{FIRST}; meta mark set meta mark or 0x100", set(), set()),
        (f"{FIRST}; meta mark set meta mark and 0xffff00ff xor 0x100", set(), set()),
        ("type filter hook input priority -150; meta mark set 0x100", set(), set()),
        (f"{INPUT}; {STATED}; tcp dport 22 accept", OUTPUT | BEHIND, {"input"}),
        (f"{INPUT}; {STATED}; iif lo accept", BEHIND, {"input"}),
        (f"{INPUT}; {STATED}; meta mark and 0x1 == 0x1 accept; iif lo accept", set(), set()),
        (f"{FIRST}; fib saddr . iif oif missing drop", OUTPUT, {"rpfilter"}),
        (f"{FIRST}; fib saddr . mark . iif oif missing drop", OUTPUT | BEHIND, {"rpfilter"}),
        (
            f"{FIRST}; meta mark & 1 == 1 accept; fib saddr . iif oif missing drop",
            SECOND,
            {"rpfilter"},
        ),
        (f"{FIRST}; tcp dport 81 tproxy ip to 127.0.0.1:9041", set(), {"tproxy"}),
    ],
)
def test_a_netfilter_rule_is_called_a_trap_just_when_it_is_one(
    host: Host, proxy: socket.socket, chain: str, victims: set[str], codes: set[str]
) -> None:
    lines = "\n".join(part.strip() for part in chain.replace("; policy", ";policy").split("; "))
    family = "ip" if "tproxy" in chain else "inet"
    text = f"table {family} others {{\nchain first {{\n{lines}\n}}\n}}\n"
    host.host.run(["nft", "-f", "-"], stdin=text.replace(";policy", "; policy"))
    try:
        assert host.broken(proxy) == victims
        found = host.found()
        assert set(found) == {f"netfilter.{code}" for code in codes}
        commands = [each for one in found.values() for each in COMMAND.findall(one.advice)]
        assert len(commands) == ("input" in codes or "rpfilter" in codes) - (victims == SECOND)
        for command in commands:
            host.host.run(command.split())
        if commands:
            # Where sources are checked, the second uplink needs the whole rule gone.
            assert host.broken(proxy) == (SECOND if "rpfilter" in codes else set())
            assert host.broken(proxy) <= victims
    finally:
        host.host.run(["nft", "flush", "ruleset"])


def test_what_the_advice_says_keeps_our_bits_does(host: Host, proxy: socket.socket) -> None:
    (statement,) = re.findall("nftables: `([^`]*)`", netfilter.keeping(Mark(0x1, 0x1)))
    table = f"table inet others {{\nchain first {{\n{FIRST}\n{statement}\n}}\n}}\n"
    host.host.run(["nft", "-f", "-"], stdin=table)
    try:
        assert host.broken(proxy) == set()
        assert host.found() == {}
    finally:
        host.host.run(["nft", "flush", "ruleset"])


def test_a_filter_of_others_in_front_of_ours_is_named(host: Host, proxy: socket.socket) -> None:
    accepts_all = bytes.fromhex("b700000000000000 9500000000000000")  # r0 = TC_ACT_OK; exit
    record = FilterRecord(CLSACT_EGRESS, 3, 1, "bpf", "others", 0)
    with host.host.entered():
        netlink = Netlink()
        wan0 = netlink.links()["wan0"].ifindex
    program = load_program(
        name="others", prog_type=SCHED_CLS, insns=accepts_all, license="GPL", relocs=(), maps={}
    )
    netlink.put_filter(wan0, record, int(program))
    try:
        assert host.broken(proxy) == OUTPUT - {"wan1"}
        (found,) = host.found().values()
        assert (found.code, found.level) == ("conflicts.filters", WARN)
        assert found.text.startswith("filter bpf others (prio 3) on wan0 runs before ours")
    finally:
        netlink.del_filter(wan0, record)
        netlink.close()
