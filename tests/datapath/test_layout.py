"""What user space believes of the programs is what the compiler sees."""

from __future__ import annotations

import dataclasses
import re
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netplan_tproxy.datapath import programs as datapath
from netplan_tproxy.datapath.layouts import (
    BYPASS_MARKS,
    CONFIG,
    MAPS,
    SET,
    ConfigValue,
    SetIds,
    unpack_config,
)
from netplan_tproxy.errors import TproxyError
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf.compiled import Module, Table
from netplan_tproxy.kernel.bpf.compiler import compile_programs
from netplan_tproxy.site.model import Interface, Listener, Mark, Proxy, Site

if TYPE_CHECKING:
    from tests.datapath.support import Applied

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
PROGRAMS = tuple(
    re.findall(r"^int (\w+)\(struct __sk_buff", datapath.program_source(), re.MULTILINE)
)


def compiled(extra: str = "", programs: tuple[str, ...] = ("lo_egress",)) -> Module:
    return compile_programs(
        datapath.program_source() + extra,
        headers=str(datapath.bpf_directory() / "kbuild"),
        defines=datapath.defines(programs),
        functions=programs,
    )


def test_maps_are_what_the_source_declares() -> None:
    declared = {
        layout.name: Table(
            layout.type, layout.key_size, layout.value_size, layout.max_entries, layout.flags
        )
        for layout in (*MAPS, SET)
    }
    assert compiled().tables == declared


def test_maps_are_what_the_kernel_holds(host: Applied) -> None:
    for layout in MAPS:
        with bpf_maps.open_pinned(str(host.pins / "maps" / layout.pin)) as fd:
            info = bpf_maps.map_info(fd)
        held = (info.name, info.type, info.key_size, info.value_size, info.max_entries, info.flags)
        assert held == (
            layout.name, layout.type, layout.key_size, layout.value_size, layout.max_entries,
            layout.flags,
        )  # fmt: skip


def test_every_program_is_selected_by_its_name_and_refers_only_to_maps_that_are_declared() -> None:
    module = compiled(programs=PROGRAMS)
    assert set(module.programs) == set(PROGRAMS)
    used = {name for program in module.programs.values() for _, name in program.relocs}
    assert used == {layout.name for layout in MAPS}


def test_a_function_that_is_not_there_is_said_by_the_compiler() -> None:
    with pytest.raises(TproxyError, match=r"^compile bpf programs: .*'nobody'.*touched$"):
        compiled("int wrong(struct __sk_buff *skb) { return nobody(skb); }", ("wrong",))


def test_every_program_has_its_place_and_every_place_a_program() -> None:
    links = {"eth": 1, "tun": 0xFFFE, "lo": 772}
    nothing = Site("x", (), Proxy(), Mark(1, 1), Mark(2, 2), (), (), ())
    named = set()
    for name in ("eth", "tun"):
        for ways in (("output",), ("forward",), ("output", "forward")):
            site = dataclasses.replace(nothing, interfaces=(Interface(name, ways),))
            named |= {place.program for place in datapath.places(site, links)}
    assert named == set(PROGRAMS)


def test_fields_sit_where_user_space_packs_them() -> None:
    fields = {
        "config": {
            "policy": 0, "intercept": 64, "bypass": 72, "listeners": 136, "lo": 216,
            "when_down": 220,
        },
        "policy": {
            name: 8 * number for number, name in enumerate(field.name.rstrip("_")
            for field in dataclasses.fields(SetIds))
        },
        "mark": {"value": 0, "mask": 4},
        "listener": {"addr": 0, "port": 16, "enabled": 18},
        "prefix": {"length": 0, "bits": 4},
        "flow_key": {"saddr": 0, "daddr": 16, "sport": 32, "dport": 34, "proto": 36},
        "counter_key": {"ifindex": 0, "outcome": 4},
        "counter": {"packets": 0, "bytes": 8},
    }  # fmt: skip
    wanted, tables = {}, ""
    for name, offsets in fields.items():
        for field, offset in offsets.items():
            table = f"at_{name}_{field.replace('.', '_')}"
            wanted[table] = offset + 1
            size = f"__builtin_offsetof(struct {name}, {field}) + 1"
            tables += f"struct s_{table} {{ char byte[{size}]; }};\n"
            tables += f'BPF_TABLE("hash", u32, struct s_{table}, {table}, 1);\n'
    found = compiled(tables).tables
    assert {name: found[name].value_size for name in wanted} == wanted


marks = st.builds(Mark, st.integers(0, 2**32 - 1), st.integers(1, 2**32 - 1))
ids = st.builds(SetIds, *[st.integers(0, 2**64 - 1)] * 8)


def listeners(version: int) -> st.SearchStrategy[Listener | None]:
    addresses = st.ip_addresses(v=version).map(str)  # type: ignore[arg-type]
    return st.none() | st.builds(Listener, addresses, st.integers(1, 65535))


values = st.builds(
    ConfigValue,
    sets=ids,
    intercept=marks,
    bypass=st.lists(marks, max_size=BYPASS_MARKS).map(tuple),
    listeners=st.tuples(listeners(4), listeners(6), listeners(4), listeners(6)),
    lo=st.integers(1, 2**31 - 1),
    when_down_bypass=st.booleans(),
    route_mark=st.integers(0, 2**32 - 1),
)


@given(values)
def test_a_configuration_survives_the_way_to_the_programs_and_back(value: ConfigValue) -> None:
    packed = value.pack()
    assert len(packed) == CONFIG.value_size
    assert unpack_config(packed) == value


def test_a_configuration_is_packed_as_the_program_reads_it() -> None:
    packed = ConfigValue(
        SetIds(1, 2, 3, 4, 5, 6, 7, 0x0102030405060708),
        Mark(0x01020304, 0xFFFFFFFF),
        (Mark(0x5, 0xF), Mark(0x6, 0xF0)),
        (Listener("127.0.0.1", 9040), None, None, Listener("2001:db8::1", 53)),
        7,
        when_down_bypass=True,
        route_mark=0x100,
    ).pack()
    native = sys.byteorder
    assert [int.from_bytes(packed[at : at + 8], native) for at in range(0, 64, 8)] == [
        1, 2, 3, 4, 5, 6, 7, 0x0102030405060708,
    ]  # fmt: skip
    numbers = [int.from_bytes(packed[at : at + 4], native) for at in range(64, 136, 4)]
    assert numbers == [0x01020304, 0xFFFFFFFF, 0x5, 0xF, 0x6, 0xF0, *[0] * 12]
    tcp, tcp6, udp, udp6 = (packed[at : at + 20] for at in range(136, 216, 20))
    assert tcp[:18] == bytes([*[0] * 12, 127, 0, 0, 1]) + (9040).to_bytes(2, "big")
    assert udp6[:18] == bytes.fromhex("20010db8" + "0" * 23 + "1") + (53).to_bytes(2, "big")
    assert tcp6 == udp == bytes(20)
    assert 0 not in (int.from_bytes(tcp[18:], native), int.from_bytes(udp6[18:], native))
    assert [int.from_bytes(packed[at : at + 4], native) for at in (216, 220, 228)] == [
        7, 1, 0x100,
    ]  # fmt: skip


def test_outcomes_have_the_names_and_numbers_of_the_source() -> None:
    tables = "struct outs { char byte[OUT_MAX]; };\n"
    tables += "struct apart { char byte[GO_ON > OUT_MAX ? 1 : -1]; };\n"
    tables += 'BPF_TABLE("hash", u32, struct outs, outs, 1);\n'
    for outcome in datapath.OUTCOMES:
        tables += f"struct s_{outcome} {{ char byte[OUT_{outcome.upper()} + 1]; }};\n"
        tables += f'BPF_TABLE("hash", u32, struct s_{outcome}, n_{outcome}, 1);\n'
    found = compiled(tables).tables
    assert found["outs"].value_size == len(datapath.OUTCOMES)
    numbers = [found[f"n_{outcome}"].value_size - 1 for outcome in datapath.OUTCOMES]
    assert numbers == list(range(len(datapath.OUTCOMES)))
