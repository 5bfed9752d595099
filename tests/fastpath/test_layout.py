"""What user space believes of the fast path is what the compiler sees."""

from __future__ import annotations

import re

import pytest

from netplan_tproxy.datapath import fastpath, layouts
from netplan_tproxy.datapath import programs as datapath
from netplan_tproxy.kernel.bpf.btf import rmem_alloc_offset
from netplan_tproxy.kernel.bpf.compiled import Table
from netplan_tproxy.kernel.bpf.compiler import compile_programs
from netplan_tproxy.kernel.bpf.layout import SOCKHASH

pytestmark = [pytest.mark.bpf]


def test_maps_are_what_the_source_declares() -> None:
    module = compile_programs(
        datapath.program_source(fastpath.SOURCE),
        headers=str(datapath.bpf_directory() / "kbuild"),
        defines={**datapath.defines(fastpath.TYPES), "RMEM_ALLOC": "0"},
        functions=sorted(fastpath.TYPES),
    )
    for layout in (*fastpath.MAPS, layouts.FLOWS, layouts.SETS):
        # BCC declares four bytes for a socket; with eight user space may read cookies.
        size = 4 if layout.type == SOCKHASH else layout.value_size
        declared = Table(layout.type, layout.key_size, size, layout.max_entries, layout.flags)
        assert module.tables[layout.name] == declared
    used = {name for program in module.programs.values() for _, name in program.relocs}
    assert used == {layout.name for layout in (*fastpath.MAPS, layouts.FLOWS, layouts.SETS)}


def test_outcomes_are_named_in_the_order_of_the_source() -> None:
    source = (datapath.bpf_directory() / "fastpath/counters.h").read_text()
    body = source.partition("enum fast_outcome {")[2].partition("}")[0]
    names = re.findall(r"^\s*FAST_(\w+),", body, re.MULTILINE)
    assert names == [*(name.upper() for name in fastpath.OUTCOMES), "OUTCOMES"]
    assert fastpath.COUNTS.size >= 8 * len(fastpath.OUTCOMES)


def test_the_offset_comes_from_the_running_kernel() -> None:
    offset = rmem_alloc_offset()
    assert offset is not None
    assert 0 < offset < 1000


def test_a_config_comes_back_as_it_was_packed() -> None:
    value = fastpath.ConfigValue(1 << 63, 8192)
    assert fastpath.unpack_config(value.pack()) == value
