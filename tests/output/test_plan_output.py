"""What a plan looks like, whatever is in it; and ``--diff``, the file's own terms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netplan_tproxy.datapath.layouts import ConfigValue, SetIds
from netplan_tproxy.kinds.config import Config
from netplan_tproxy.kinds.filter import Filter
from netplan_tproxy.kinds.qdisc import Qdisc
from netplan_tproxy.kinds.rule import Rule
from netplan_tproxy.kinds.set import Set
from netplan_tproxy.kinds.sysctl import Sysctl
from netplan_tproxy.kinds.tcx import Tcx
from netplan_tproxy.output import plan as render
from netplan_tproxy.output.style import Style
from netplan_tproxy.reconcile.report import SIGNS
from netplan_tproxy.resource.values import Change, Plan
from netplan_tproxy.site.load import parse
from netplan_tproxy.site.model import Listener, Mark
from netplan_tproxy.state.site_record import SiteRecord, diff_report, from_json, record_of
from tests.lab.budget import examples
from tests.lab.host import SITE, Host

if TYPE_CHECKING:
    from netplan_tproxy.resource.values import Resource

devices = st.sampled_from(["lo", "wan0", "lan0", "a-long-name-15b"])
KINDS: tuple[st.SearchStrategy[Resource], ...] = (
    st.builds(Qdisc, devices, st.sampled_from(["clsact", "ingress"])),
    st.builds(
        Filter,
        devices,
        st.sampled_from(["ingress", "egress"]),
        st.sampled_from([f"wan_egress@{'1' * 12}", f"wan_egress@{'2' * 12}", "bpf theirs"]),
    ),
    st.builds(
        Tcx,
        devices,
        st.sampled_from(["ingress", "egress"]),
        st.sampled_from([f"wan_egress@{'1' * 12}", "another program, id 7"]),
    ),
    st.builds(Set, st.just("0" * 16), st.booleans(), st.just("bypass.to"), st.integers(0, 99)),
    st.builds(Sysctl, st.just("net/ipv4/conf/a-long-name-15b/accept_local"), st.text("01 ")),
    st.builds(Rule, st.just(2), st.integers(0, 9), st.just(1), st.just(1), st.just(100)),
)
resources = st.one_of(*KINDS)
pairs = st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(kind, kind))


def _change(pair: tuple[Resource, Resource], end: int) -> Change:
    before, after = pair
    return (Change(None, after), Change(before, None), Change(before, after))[end]


plans = st.builds(
    Plan,
    changes=st.lists(st.builds(_change, pairs, st.integers(0, 2)), max_size=12).map(tuple),
    satisfied=st.lists(resources, max_size=3).map(tuple),
    kept=st.lists(st.tuples(resources, st.just("changed by somebody else since")), max_size=3).map(
        tuple
    ),
)


@settings(max_examples=examples(150))
@given(plans)
def test_any_plan_is_shown_whole_in_80_columns_and_counted(plan: Plan) -> None:
    shown = render.plan_lines(plan, whole=True)
    assert all(len(line) <= 80 for line in shown)
    assert all(line == line.rstrip() for line in shown)
    signs = [line[0] for line in shown[:-1] if re.match(r"[+~=-] ", line)]
    assert len(signs) == len(plan.changes) + len(plan.satisfied) + len(plan.kept)
    counts = [signs.count(sign) for sign in "+~-"]
    words = "{} to add, {} to change, {} to remove".format(*counts)
    assert shown[-1] == (words if any(counts) else "no changes")


@settings(max_examples=examples(100))
@given(plans)
def test_maps_programs_and_sets_are_one_line_for_each_sign_and_the_rest_is_as_it_was(
    plan: Plan,
) -> None:
    brief = render.plan_lines(plan)
    inner = [one for one in plan.changes if one.id.kind in {"map", "program", "set"}]
    folded = [line for line in brief if re.match(r"[+~-] \d+ BPF programs and maps ", line)]
    assert len(folded) <= 3
    told = sum(int(line.split()[1]) for line in folded)
    alone = [line for line in brief if re.match(r"[+~-] (map|program|set)\b", line)]
    assert told + len(alone) == len(inner)
    assert not re.search(r"@[0-9a-f]{8}|set [0-9a-f]{8}", "\n".join(brief))
    outer = Plan(tuple(one for one in plan.changes if one not in inner), plan.satisfied, plan.kept)
    kept = [line for line in render.plan_lines(outer)[:-1] if line[:1] in "+~-="]
    assert all(line in brief for line in kept)
    assert brief[-1] == render.plan_lines(plan, whole=True)[-1]


@settings(max_examples=examples(100))
@given(plans)
def test_what_belongs_to_an_interface_stands_below_its_name(plan: Plan) -> None:
    shown = render.plan_lines(plan, whole=True)[:-1]
    heads = [line[:-1] for line in shown if re.fullmatch(r"[\w-]+:", line)]
    subjects = [change.subject for change in plan.changes]
    groups = {one.group for one in (*subjects, *plan.satisfied, *(one for one, _ in plan.kept))}
    assert set(heads) == (groups if groups - {"host"} else set())
    order = sorted(heads, key=lambda head: (head != "host", head != "lo", head))
    assert heads == order
    here = "host"
    for line in shown:
        if line[:-1] in heads:
            here = line[:-1]
        found = re.match(r"[+~=-] (?:filter|qdisc at the ingress of) ([\w-]+)", line)
        assert not found or found[1] == here


@settings(max_examples=examples(50))
@given(plans)
def test_colours_change_no_character(plan: Plan) -> None:
    painted = render.plan_lines(plan, Style(on=True), whole=True)
    assert [re.sub(r"\033\[\d+m", "", line) for line in painted] == render.plan_lines(
        plan, whole=True
    )


def test_the_order_within_an_interface_is_that_of_the_changes() -> None:
    changes = (Qdisc("wan0"), Filter("wan0", "ingress", "b@1"), Filter("wan0", "egress", "a@1"))
    shown = render.plan_lines(Plan(changes=tuple(Change(None, one) for one in changes)))
    assert shown == [
        "wan0:",
        "+ qdisc at the ingress of wan0: clsact",
        "+ filter wan0 ingress: b@1",
        "+ filter wan0 egress: a@1",
        "",
        "3 to add, 0 to change, 0 to remove",
    ]


def shown_change(before: Resource, after: Resource) -> str:
    shown = render.plan_lines(Plan(changes=(Change(before, after),)))
    assert shown[-1] == "0 to add, 1 to change, 0 to remove"
    return shown[0]


def test_of_an_update_the_parts_that_differ_are_shown() -> None:
    def config(port: int, *bypass: Mark) -> Config:
        marks = Mark(1, 1), (Mark(2, 2), *bypass)
        listeners = (Listener("127.0.0.1", 9040), None, Listener("127.0.0.1", port), None)
        return Config(ConfigValue(SetIds(), *marks, listeners, 1).pack())

    assert shown_change(config(9040), config(9041)) == (
        "~ config: udp to 127.0.0.1:9040 → udp to 127.0.0.1:9041"
    )
    assert shown_change(config(9040), config(9040, Mark(4, 4))) == (
        "~ config: now also bypass mark 0x4/0x4"
    )


def test_what_differs_in_its_digest_alone_is_new_and_with_v_one_sees_how() -> None:
    before, after = (Filter("wan0", "egress", f"wan_egress@{digit * 12}") for digit in "12")
    assert shown_change(before, after) == "wan0:"
    shown = [
        render.plan_lines(Plan(changes=(Change(before, after),)), whole=whole)[1]
        for whole in (False, True)
    ]
    assert shown == [
        "~ filter wan0 egress: new wan_egress",
        f"~ filter wan0 egress: wan_egress@{'1' * 12} → wan_egress@{'2' * 12}",
    ]


def test_of_a_set_that_goes_nothing_else_is_said() -> None:
    def config(**sets: int) -> Config:
        listeners = (Listener("127.0.0.1", 9040), None, None, None)
        return Config(ConfigValue(SetIds(**sets), Mark(1, 1), (Mark(2, 2),), listeners, 1).pack())

    assert shown_change(config(ports=7), config()) == "~ config: no longer ports set"
    assert shown_change(config(ports=7), config(ports=8)) == "~ config: new ports set"
    assert shown_change(config(ports=7), config(ports=8, bypass_to=9)) == (
        "~ config: new ports set; now also bypass to set"
    )


def test_a_value_with_a_comma_is_one_part() -> None:
    shown = shown_change(Sysctl("net/core/x", "a, b"), Sysctl("net/core/x", "a, c"))
    assert shown == "~ sysctl net.core.x: a, b → a, c"


# The file's own terms.

FULL = """\
version: 1
interfaces: {wan0: {intercept: [output, forward]}}
proxy: {tcp: {port: 9040}, udp6: {port: 9041}}
intercept: {to: [20.0.0.0/8, "2001:db8::/32"], ports: [80, 8000-8999]}
bypass: {to: [20.1.0.0/16], users: [haproxy, "12"], marks: [0x10/0x10]}
checks: [{ping: 1.1.1.1}]
"""


def record(text: str) -> SiteRecord:
    return record_of(parse(text, "site.yaml"), "/etc/site.yaml", 1.0)


def signed(before: SiteRecord | None, after: SiteRecord | None) -> list[str]:
    keys = diff_report(before, after)["keys"]
    return [f"{SIGNS[one['action']]} {one['key']}: {one['value']}" for one in keys]


def test_a_file_differs_from_itself_in_nothing_and_from_none_in_all() -> None:
    one = record(FULL)
    assert signed(one, one) == []
    assert signed(None, one) == [f"+ {key}: {value}" for key, value in one.values]
    assert sorted(signed(one, None)) == sorted(f"- {key}: {value}" for key, value in one.values)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("port: 9040", "port: 9050", ["- proxy.tcp.port: 9040", "+ proxy.tcp.port: 9050"]),
        ("80, ", "80, 443, ", ["+ intercept.ports: 443"]),
        ("haproxy, ", "", ["- bypass.users: haproxy"]),
        ("output, forward", "forward, output", []),
        ("version: 1\n", "version: 1\n# a word\n", []),
        ("{tcp: {port: 9040}", "{tcp: {address: 127.0.0.1, port: 9040}", []),
        ("20.1.0.0/16", "20.1.0.0/17, 20.1.128.0/17", []),
    ],
)
def test_diff_names_the_keys_that_mean_something_else(
    old: str, new: str, expected: list[str]
) -> None:
    assert old in FULL
    assert signed(record(FULL), record(FULL.replace(old, new))) == expected


def test_a_long_list_is_kept_by_its_digest_and_still_differs() -> None:
    def text(last: int) -> str:
        networks = [f"20.{number}.0.1" for number in range(100)] + [f"21.0.0.{last}"]
        return FULL.replace("to: [20.1.0.0/16]", f"to: [{', '.join(networks)}]")

    one, other = record(text(1)), record(text(3))
    assert signed(one, one) == []
    gone, come = signed(one, other)
    assert gone.startswith("- bypass.to: 101 networks (")
    assert come.startswith("+ bypass.to: 101 networks (")


def test_a_record_survives_the_way_to_json_and_back() -> None:
    one = record(FULL)
    assert from_json(one.to_json()) == one
    assert one.says_as(from_json({**one.to_json(), "at": 2.0}))
    assert not one.says_as(None)
    assert not one.says_as(record(FULL + "# longer\n" + "site: other\n"))


@pytest.mark.lab
@pytest.mark.bpf
def test_diff_shows_what_the_file_says_otherwise_than_the_one_applied(host: Host) -> None:
    first = host.apply("--dry-run", "--diff").out
    assert "--- applied: nothing on record" in first
    assert "+ proxy.tcp.port: 9040" in first
    host.applied()
    before = host.stare()
    host.write(SITE.replace("9040", "9050"))
    shown = host.apply("--dry-run", "--diff").out
    assert shown[:2] == [
        "new: TCP leaving wan0 → 127.0.0.1:9050",
        "no longer: TCP leaving wan0 → 127.0.0.1:9040",
    ]
    assert shown[3:5] == [
        "~ config: tcp to 127.0.0.1:9040 → tcp to 127.0.0.1:9050",
        "0 to add, 1 to change, 0 to remove",
    ]
    assert shown[-2:] == ["- proxy.tcp.port: 9040", "+ proxy.tcp.port: 9050"]
    assert host.stare() == before
    host.applied()
    assert host.apply("--check", "--diff").out[-2] == "the file says what was applied last"


@pytest.mark.lab
@pytest.mark.bpf
def test_diff_tells_a_changed_file_from_a_changed_kernel(host: Host) -> None:
    host.applied()
    host.sh("ip rule del priority 1000")
    done = host.apply("--check", "--diff")
    assert done.code == 2
    assert done.out[0] == "TCP leaving wan0 → 127.0.0.1:9040"
    assert done.out[2].startswith("+ rule 1000: ")
    assert done.out[-1] == "the file says what was applied last"


@pytest.mark.lab
@pytest.mark.bpf
def test_a_file_that_reads_otherwise_and_means_the_same_is_what_is_on_record(host: Host) -> None:
    host.applied()
    host.write(SITE.replace("wan0: {}", "wan0: {intercept: output}"))
    assert host.applied().out == ["no changes"]
    settled = host.stare()
    assert "intercept: output" in host.site.read_text()
    assert host.applied().out == ["no changes"]
    assert host.stare() == settled
