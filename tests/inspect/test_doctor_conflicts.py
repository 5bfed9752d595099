"""What the doctor says of other managers, of the old iptables and of where it runs."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.datapath.protocol import OUR_PROTOCOL
from netplan_tproxy.inspect.doctor import conflicts, marks, mounts, netfilter, privileges, tcx
from netplan_tproxy.inspect.doctor.finding import FAIL, OK, UNSEEN, WARN, Finding
from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.kernel.bpf.libbpf import Fd, call
from netplan_tproxy.kernel.bpf.programs import load_program
from netplan_tproxy.kernel.features import SCHED_CLS
from netplan_tproxy.kernel.host.netfilter import Ruleset, read_ruleset
from netplan_tproxy.kernel.host.processes import running
from netplan_tproxy.kernel.netlink.handle import Netlink
from netplan_tproxy.kernel.netlink.links import Link
from netplan_tproxy.kernel.netlink.routing import has_routes
from netplan_tproxy.kernel.netlink.rules import AnyRule
from netplan_tproxy.site.load import parse
from netplan_tproxy.systemd.networkd import SETTINGS
from tests.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

SITE = parse("version: 1\ninterfaces: {wan0: {}}\nproxy: {port: 9040}\n", "site.yaml")
LINKS = {"lo": Link("lo", 1, 772), "wan0": Link("wan0", 2, 1)}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


def target(lab: Lab, *, privileged: bool = True) -> Target:
    with lab.host.entered():
        netlink = Netlink()
        links = netlink.links()
        netlink.close()
    return Target(SITE, links, privileged)


def of(findings: list[Finding], code: str) -> list[Finding]:
    return [one for one in findings if one.code == f"conflicts.{code}"]


@pytest.mark.lab
@pytest.mark.parametrize("settings", [SETTINGS, SETTINGS[:1], ()])
def test_a_networkd_that_takes_ours_away_is_named_with_its_settings(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, settings: tuple[str, ...]
) -> None:
    monkeypatch.setattr(conflicts, "removes_foreign", lambda: settings)
    with lab.host.entered():
        (one,) = of(conflicts.examine(target(lab)), "networkd")
    assert one.level == (WARN if settings else OK)
    assert all(f"{name}=no" in one.advice for name in settings)


@pytest.mark.parametrize(
    ("text", "touches"),
    [
        ("[connection]\ninterface-name=wan0\n[tc]\nqdisc.root=fq_codel\n", True),
        ("[connection]\ninterface-name=eth7\n[tc]\nqdisc.root=fq_codel\n", False),
        ("[connection]\ntype=ethernet\n[tc]\nqdisc.root=fq_codel\n", True),
        ("[connection]\ninterface-name=wan0\n[ipv4]\nmethod=auto\n", False),
    ],
)
def test_a_profile_with_qdiscs_for_our_device_is_a_trap(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    touches: bool,  # noqa: FBT001
) -> None:
    (tmp_path / "uplink.nmconnection").write_text(text)
    monkeypatch.setattr(conflicts, "_PROFILES", tmp_path)
    monkeypatch.setattr(conflicts, "running", lambda *names: [*names])
    (one,) = conflicts._network_manager(Target(SITE, LINKS))
    assert one.level == (WARN if touches else OK)


def test_a_manager_that_does_not_run_is_not_mentioned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conflicts, "running", lambda *_: [])
    assert list(conflicts._network_manager(Target(SITE, LINKS))) == []


def test_running_programs_are_found_by_name() -> None:
    mine = Path("/proc/self/comm").read_text().strip()
    assert running(mine, "no-such-program") == [mine]


@pytest.mark.parametrize(
    ("name", "code", "level"),
    [("cilium_host", "cilium", WARN), ("docker0", "docker", OK)],
)
def test_others_are_known_by_their_devices(name: str, code: str, level: str) -> None:
    links = {**LINKS, name: Link(name, 9, 1)}
    for there, expected in ((links, [level]), (LINKS, [])):
        both = [*conflicts._cilium(Target(SITE, there)), *conflicts._docker(Target(SITE, there))]
        assert [one.level for one in of(both, code)] == expected


@pytest.mark.lab
@pytest.mark.bpf
@pytest.mark.parametrize("hook", [46, 47], ids=["ingress", "egress"])
def test_tcx_programs_are_named(lab: Lab, hook: int) -> None:
    code = bytes.fromhex("b7000000ffffffff 9500000000000000")  # r0 = TCX_NEXT; exit
    with lab.host.entered():
        who = target(lab)
        assert list(tcx.in_front(who)) == []
        program = load_program(
            name="tcx", prog_type=SCHED_CLS, insns=code, license="GPL", relocs=(), maps={}
        )
        ifindex = who.links["wan0"].ifindex
        link = call("bpf_link_create", int(program), ifindex, hook, None, what="attach tcx")
        with Fd(link):
            (one,) = tcx.in_front(who)
        assert (one.level, "on wan0" in one.text) == (WARN, True)
        assert list(tcx.in_front(who)) == []
        assert [one.level for one in tcx.in_front(Target(SITE, who.links))] == [UNSEEN]


@pytest.mark.parametrize(
    ("attach", "linked", "advice"),
    [
        ("clsact", False, "`attach: auto` in the site file puts ours in front of them"),
        ("auto", False, "apply (again): `attach: auto` puts ours in front of them"),
        ("auto", True, "be attached behind others (BPF_F_AFTER)"),
    ],
)
def test_what_to_do_about_tcx_programs_in_front_depends_on_how_ours_sit(
    attach: str,
    linked: bool,  # noqa: FBT001
    advice: str,
) -> None:
    told = tcx.judged("wan0 egress", [7, 9], Target(replace(SITE, attach=attach)), linked=linked)
    assert (told.level, "on wan0 egress" in told.text) == (WARN, True)
    assert "(ids 7, 9)" in told.text
    assert advice in told.advice


@pytest.mark.lab
def test_a_netkit_device_is_named(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    with lab.host.entered():
        who = target(lab)
        netlink = Netlink()
        kinds = [netlink.link_kind(name) for name in ("wan0", "lo", "nobody0")]
        netlink.close()
        assert kinds == ["veth", "", ""]
        assert list(tcx.netkit(who)) == []
        # Not every kernel has such devices (CONFIG_NETKIT).
        monkeypatch.setattr(Netlink, "link_kind", lambda *_: "netkit")
        (one,) = tcx.netkit(who)
    assert (one.code, one.level, "wan0 is a netkit" in one.text) == ("conflicts.netkit", WARN, True)


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        ("-A PREROUTING -j MARK --set-xmark 0x1/0xffffffff", ["marks"]),
        ("-A PREROUTING -i eth0 -j MARK --set-xmark 0x10/0x10", []),
        ("-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff",
         ["marks"]),
        ("-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xff00 --ctmask 0xff00", []),
        ("-A OUTPUT -j MARK --set-xmark 0x1/0xffffffff", []),
        ("-A PREROUTING -p tcp -j TPROXY --on-port 1 --on-ip 0.0.0.0 --tproxy-mark 0x1/0x1",
         ["tproxy"]),
        ("-A PREROUTING -m rpfilter --invert -j DROP", ["rpfilter"]),
        (":INPUT DROP [0:0]", ["input"]),
    ],
)  # fmt: skip
def test_rules_of_the_old_iptables_are_understood(line: str, codes: list[str]) -> None:
    found = netfilter.judged(Target(SITE, LINKS), Ruleset(legacy=("*mangle", line, "COMMIT")))
    assert [one.code for one in found if one.level != OK] == [f"netfilter.{code}" for code in codes]


@pytest.mark.parametrize(
    ("lines", "command"),
    [
        (("# iptables-legacy", "*raw", "-A PREROUTING -m rpfilter --invert -j DROP"),
         "iptables-legacy -t raw -I PREROUTING -m mark --mark 0x1/0x1 -j ACCEPT"),
        (("# ip6tables", "*mangle", "-A PREROUTING -m rpfilter --invert -j DROP"),
         "ip6tables -t mangle -I PREROUTING -m mark --mark 0x1/0x1 -j ACCEPT"),
        (("# iptables", "*filter", ":INPUT DROP [0:0]"),
         "iptables -t filter -I INPUT -m mark --mark 0x1/0x1 -j ACCEPT"),
    ],
    ids=("rpfilter", "rpfilter6", "input"),
)  # fmt: skip
def test_the_command_for_a_rule_of_the_old_iptables_is_of_its_program_and_table(
    lines: tuple[str, ...], command: str
) -> None:
    (found,) = [
        one
        for one in netfilter.judged(Target(SITE, LINKS), Ruleset(legacy=lines))
        if one.level != OK
    ]
    assert f"`{command}`" in found.advice


def test_a_chain_that_iptables_made_in_nftables_is_left_to_iptables() -> None:
    chain = {"family": "ip6", "table": "filter", "name": "INPUT", "hook": "input", "policy": "drop"}
    found = [
        one
        for one in netfilter.judged(Target(SITE, LINKS), Ruleset(nft=({"chain": chain},)))
        if one.level != OK
    ]
    assert ["`ip6tables -t filter -I INPUT -m mark --mark 0x1/0x1 -j ACCEPT`" in one.advice
            for one in found] == [True]  # fmt: skip


@pytest.mark.lab
@pytest.mark.parametrize(
    "rule",
    [
        "from 10.79.0.0/24 fwmark 0x1/0x1 lookup 77",
        "from 10.79.0.1 to 1.1.1.0/24 tos 0x10 lookup main",
        "not from all fwmark 0x8 iif wan0 lookup 77",
        "from all iif lo ipproto tcp sport 5 dport 80-90 lookup 77",
        "from all oif wan0 uidrange 1-99 blackhole",
        "from all tun_id 7 prohibit",
    ],
)
@pytest.mark.parametrize("family", [2, 10])
def test_a_rule_of_others_is_shown_as_ip_rule_shows_it(lab: Lab, rule: str, family: int) -> None:
    if family == socket.AF_INET6:
        rule = rule.replace("10.79.0.0/24", "fd79::/64").replace("10.79.0.1", "fd79::1")
        rule = rule.replace("1.1.1.0/24", "2606::/16")
    six = "-6" if family == socket.AF_INET6 else "-4"
    lab.host.run(["ip", six, "rule", "add", *rule.split(), "priority", "500"])
    try:
        with lab.host.entered():
            netlink = Netlink()
            (seen,) = [one for one in netlink.all_rules(family) if one.priority == 500]
            netlink.close()
        (shown,) = [
            line for line in lab.host.run(["ip", six, "rule"]).stdout.splitlines() if "500:" in line
        ]
        prefix = "-6 " if family == socket.AF_INET6 else ""
        assert str(seen) == prefix + " ".join(shown.replace("[detached]", "").split())
    finally:
        lab.host.run(["ip", six, "rule", "del", "priority", "500"])


def test_an_input_chain_that_lets_the_mark_in_is_fine() -> None:
    lines = (":INPUT DROP [0:0]", "-A INPUT -m mark --mark 0x1/0x1 -j ACCEPT")
    found = netfilter.judged(Target(SITE, LINKS), Ruleset(legacy=lines))
    assert {one.level for one in found} == {OK}


@pytest.mark.lab
def test_a_ruleset_that_cannot_be_read_is_not_taken_for_an_empty_one(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netplan_tproxy.kernel.host.netfilter._PATH", "/nonexistent")
    with lab.host.entered():
        assert read_ruleset().unread == ("nftables: nft is not installed",)
        found = netfilter.examine(target(lab))
    assert UNSEEN in {one.level for one in found}


def test_cgroups_are_missed_only_where_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "cgroup_root", lambda: None)
    named = parse(
        "version: 1\ninterfaces: {wan0: {}}\nproxy: {port: 9040}\nbypass: {cgroups: [/a]}\n", "s"
    )
    assert mounts._cgroup(Target(SITE)).level == OK
    assert mounts._cgroup(Target(named)).level == FAIL


def test_a_user_namespace_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privileges, "_in_first_user_namespace", lambda: False)
    found = {one.code: one.level for one in privileges.examine(Target())}
    assert found["privileges.namespace"] == FAIL


@pytest.mark.lab
def test_a_table_is_known_to_be_empty_or_not(lab: Lab) -> None:
    ip = lab.host.run
    ip(["ip", "route", "add", "10.99.0.0/24", "dev", "wan0", "table", "777"])
    with lab.host.entered():
        known = {table: has_routes(2, table) for table in (254, 255, 777, 778)}
        assert known == {254: True, 255: True, 777: True, 778: False}
        assert not has_routes(10, 777)


@pytest.mark.parametrize(
    ("order", "level"), [("oa", OK), ("ao", FAIL), ("a", FAIL), ("o", OK), ("oab", FAIL)]
)
def test_of_equal_priorities_the_first_rule_is_asked_first(order: str, level: str) -> None:
    rules = {
        "o": AnyRule(2, 1000, 100, OUR_PROTOCOL, 1, 1),
        "a": AnyRule(2, 1000, 7, 99, 1, 1),
        "b": AnyRule(2, 999, 7, 99, 1, 1),
    }
    ordered = sorted((rules[letter] for letter in order), key=lambda rule: rule.priority)
    found = list(marks.collisions(Target(SITE, LINKS), ordered))
    assert (FAIL if any(one.level == FAIL for one in found) else OK) == level
