"""The table of features is what the programs call, and what this kernel says of it."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.datapath import build, fastpath, trials
from netplan_tproxy.datapath import programs as datapath
from netplan_tproxy.datapath.host import Facts
from netplan_tproxy.errors import TproxyError
from netplan_tproxy.inspect import shared_ports
from netplan_tproxy.kernel import features
from netplan_tproxy.kernel.bpf import btf
from netplan_tproxy.kernel.features import Feature
from netplan_tproxy.kernel.host.release import linux_version
from netplan_tproxy.kernel.netlink.links import Link
from netplan_tproxy.reconcile.preflight import require_facts
from netplan_tproxy.site.load import parse
from tests.lab.needed import read_needed

if TYPE_CHECKING:
    from collections.abc import Collection

TC = tuple(re.findall(r"^int (\w+)\(struct __sk_buff", datapath.program_source(), re.MULTILINE))
SITE = "version: 1\ninterfaces: {wan0: {}}\nproxy: {port: 9040}\nfastpath: {enabled: true}\n"


def helpers_of(programs: Collection[str]) -> dict[str, set[int]]:
    """The numbers of the helpers that each program calls, once it is compiled."""
    source = datapath.source_of(next(iter(programs)))
    module = build.compile_source(build.source_of(source, list(programs)))
    called: dict[str, set[int]] = {}
    for name in programs:
        insns = struct.iter_unpack("=BBhi", module.programs[name].insns)
        calls = {imm for code, registers, _, imm in insns if (code, registers >> 4) == (0x85, 0)}
        called[name] = calls - {build._RDONLY_CAST}
    return called


def numbers(table: Collection[Feature]) -> set[int]:
    return {one.number for one in table}


@pytest.mark.bpf
def test_what_tc_programs_call_is_what_the_table_has() -> None:
    called = helpers_of(TC)
    everywhere = set().union(*called.values())
    optional = [one for one in features.TC_HELPERS if one.needed_by == features.NOBODY]
    assert everywhere | numbers(optional) == numbers(features.TC_HELPERS)
    ethernet = set().union(*(called[name] for name in TC if not name.endswith("_l3")))
    only_raw_ip = [one for one in features.TC_HELPERS if one.needed_by == features.RAW_IP]
    assert everywhere - ethernet == numbers(only_raw_ip)


@pytest.mark.bpf
def test_what_the_fast_path_calls_is_what_the_table_has() -> None:
    called = helpers_of(tuple(fastpath.TYPES))
    for name, types in fastpath.TYPES.items():
        assert called[name] == numbers(features.HELPERS[types.program])


def test_the_helpers_numbers_are_the_kernels() -> None:
    header = read_needed("/usr/include/linux/bpf.h")
    table = header.split("__BPF_FUNC_MAPPER(FN)", 1)[1]
    names = re.findall(r"FN\((\w+)(?:, \d+)?[,)]", table)
    for helpers in features.HELPERS.values():
        for one in helpers:
            assert names[one.number] == one.name.removeprefix("bpf_")


@pytest.mark.bpf
def test_what_this_kernel_is_said_to_have_it_has() -> None:
    for kind, helpers in features.HELPERS.items():
        for one in helpers:
            # Lockdown and CAP_PERFMON have a say in that one.
            if one.since <= linux_version() and one.name != "bpf_probe_read_kernel":
                assert not trials.lacks(one, kind), one


@pytest.mark.bpf
def test_a_helper_is_missed_where_it_is_not() -> None:
    # 69999 is nobody's; 58 is for kprobes alone.
    for number in (69999, 58):
        unknown = Feature("bpf_nobodys", "helper", (99, 0), features.EVERY, "", number=number)
        assert trials.missing([unknown, features.named("bpf_sk_assign")]) == [unknown]


def test_a_refusal_names_what_came_last_and_the_linux_that_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(features, "linux_version", lambda: (5, 10))
    missing = [one for one in features.SOCKOPS_HELPERS if one.since > (5, 10)]
    said = features.lacking("fastpath", missing)
    assert said == "fastpath needs Linux 5.19 (bpf_skc_to_mptcp_sock), this is 5.10"
    monkeypatch.setattr(features, "linux_version", lambda: (6, 1))
    assert "bpf_skc_to_mptcp_sock, which this Linux 6.1 was built without" in features.lacking(
        "fastpath", missing
    )


def test_a_fast_path_that_this_kernel_does_not_carry_is_refused_at_its_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(features, "linux_version", lambda: (5, 10))
    lacking = {"fastpath.enabled": [features.named("bpf_skc_to_mptcp_sock")]}
    facts = Facts({"wan0": Link("wan0", 1, 1)}, cgroups={"/": 1}, lacking=lacking, fionread="lies")
    with pytest.raises(TproxyError) as refusal:
        require_facts(parse(SITE, "site.yaml"), facts)
    said = "fastpath needs Linux 5.19 (bpf_skc_to_mptcp_sock), this is 5.10; nothing was touched"
    assert str(refusal.value) == f"site.yaml:4:12: fastpath.enabled: {said}"


@pytest.mark.bpf
def test_shared_ports_are_known_by_the_kernels_types_too() -> None:
    with btf.vmlinux() as types:
        known = types is not None
    assert btf.knows_shared_ports() == (known and linux_version() >= (6, 6))
    assert shared_ports.takes_shared_ports((5, 14)) == btf.knows_shared_ports()
