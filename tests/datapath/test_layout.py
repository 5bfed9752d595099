"""What user space believes of the programs is what the compiler sees."""

from __future__ import annotations

import struct

import pytest

from netplan_tproxy import datapath
from netplan_tproxy.kernel import bpf_maps
from netplan_tproxy.kernel.compiler import Table, compile_programs
from netplan_tproxy.site.model import Listener, Mark
from tests.datapath.support import Applied

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


def compiled(extra: str = "") -> dict[str, Table]:
    return compile_programs(
        datapath.program_source() + extra,
        headers=str(datapath.bpf_directory() / "kbuild"),
        defines={},
        functions=datapath.PROGRAMS,
    ).tables


def test_maps_are_what_the_source_declares() -> None:
    declared = {
        layout.name: Table(
            layout.type, layout.key_size, layout.value_size, layout.max_entries, layout.flags
        )
        for layout in datapath.MAPS
    }
    assert compiled() == declared


def test_maps_are_what_the_kernel_holds(host: Applied) -> None:
    for layout in datapath.MAPS:
        with bpf_maps.open_pinned(str(host.pins / "maps" / layout.pin)) as fd:
            info = bpf_maps.map_info(fd)
        held = (info.name, info.type, info.key_size, info.value_size, info.max_entries, info.flags)
        assert held == (
            layout.name, layout.type, layout.key_size, layout.value_size, layout.max_entries,
            layout.flags,
        )  # fmt: skip


def test_every_program_refers_only_to_maps_that_are_declared() -> None:
    names = {layout.name for layout in datapath.MAPS}
    module = compile_programs(
        datapath.program_source(),
        headers=str(datapath.bpf_directory() / "kbuild"),
        defines={},
        functions=datapath.PROGRAMS,
    )
    assert set(module.programs) == set(datapath.PROGRAMS)
    assert {name for program in module.programs.values() for _, name in program.relocs} == names


def test_fields_sit_where_user_space_packs_them() -> None:
    fields = {
        "config": {
            "mark": 0, "mark_mask": 4, "bypass": 8, "bypass_mask": 12, "lo": 16, "tcp4.addr": 24,
            "tcp4.port": 28, "tcp4.enabled": 30,
        },
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
    found = compiled(tables)
    assert {name: found[name].value_size for name in wanted} == wanted


def test_a_configuration_is_packed_as_the_program_reads_it() -> None:
    packed = datapath.pack_config(
        Mark(0x01020304, 0xFFFFFFFF), Mark(0x5, 0xF), 7, Listener("127.0.0.1", 9040)
    )
    assert len(packed) == datapath.CONFIG.value_size
    assert struct.unpack_from("=5I", packed) == (0x01020304, 0xFFFFFFFF, 0x5, 0xF, 7)
    assert packed[24:28] == bytes([127, 0, 0, 1])
    assert packed[28:30] == (9040).to_bytes(2, "big")
    assert packed[30:32] != bytes(2)


def test_outcomes_have_the_names_and_numbers_of_the_source() -> None:
    tables = "struct outs { char byte[OUT_MAX]; };\n"
    tables += 'BPF_TABLE("hash", u32, struct outs, outs, 1);\n'
    for outcome in datapath.OUTCOMES:
        tables += f"struct s_{outcome} {{ char byte[OUT_{outcome.upper()} + 1]; }};\n"
        tables += f'BPF_TABLE("hash", u32, struct s_{outcome}, n_{outcome}, 1);\n'
    found = compiled(tables)
    assert found["outs"].value_size == len(datapath.OUTCOMES)
    numbers = [found[f"n_{outcome}"].value_size - 1 for outcome in datapath.OUTCOMES]
    assert numbers == list(range(len(datapath.OUTCOMES)))
