"""Compiling and loading our programs. Nobody else sees them until they are pinned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from netplan_tproxy.datapath import fastpath, programs
from netplan_tproxy.datapath.compile_cache import Source
from netplan_tproxy.errors import TproxyError
from netplan_tproxy.kernel.bpf import programs as bpf_programs
from netplan_tproxy.kernel.bpf.btf import rmem_alloc_offset, waits_for_offset
from netplan_tproxy.kernel.bpf.inet_sock import transparent_flag
from netplan_tproxy.kernel.bpf.kfunc import call_instead
from netplan_tproxy.kernel.bpf.libbpf import Fd

if TYPE_CHECKING:
    from netplan_tproxy.kernel.bpf.compiled import Compiled, Module

_NO_BTF = (
    "fastpath: this kernel has no BTF (/sys/kernel/btf/vmlinux, CONFIG_DEBUG_INFO_BTF), or "
    "none with sk_backlog.rmem_alloc, so it can't tell how much waits for a reader; "
    "nothing was touched"
)


# Stands for bpf_rdonly_cast in bpf/tproxy/transparent.h.
_RDONLY_CAST = 0x7470726F


def source_of(name: str, functions: Sequence[str]) -> Source:
    """Give all that the programs ``functions`` of a source file are made from.

    Raises TproxyError.
    """
    return Source(
        programs.program_source(name),
        programs.bpf_directory() / "kbuild",
        {**programs.defines(functions), **field_offsets(name)},
        sorted(functions),
    )


def compile_source(source: Source) -> Module:
    """Compile it. Raises TproxyError."""
    # LLVM costs 0.1 to 0.4 s and 75 MB: a run that loads nothing does without it.
    from netplan_tproxy.kernel.bpf.compiler import compile_programs  # noqa: PLC0415

    return compile_programs(
        source.text,
        headers=str(source.headers),
        defines=source.defines,
        functions=source.functions,
    )


def load(name: str, compiled: Compiled, maps: Mapping[str, int]) -> Fd:
    """Load one program; ``maps`` are descriptors by map name. Raises KernelError."""
    types = programs.type_of(name)
    flag = transparent_flag()
    insns = compiled.insns
    if flag and flag.cast:
        insns = call_instead(insns, _RDONLY_CAST, flag.cast)
    return bpf_programs.load_program(
        name=name,
        prog_type=types.program,
        expected_attach_type=types.attach,
        insns=insns,
        license=programs.LICENSE,
        relocs=compiled.relocs,
        maps=maps,
    )


def field_offsets(source: str) -> dict[str, str]:
    """Give the offsets in the running kernel's structs that a source needs, as macros.

    Raises TproxyError.
    """
    if source == fastpath.SOURCE:
        offset = rmem_alloc_offset()
        if offset is None:
            raise TproxyError(_NO_BTF)
        return {"RMEM_ALLOC": str(offset)}
    offset = waits_for_offset()
    awaited = {} if offset is None else {"WAITS_FOR": str(offset)}
    return {**awaited, **_transparent()}


def _transparent() -> dict[str, str]:
    flag = transparent_flag()
    if flag is None:
        return {}
    where = {"TRANSPARENT_AT": str(flag.byte), "TRANSPARENT_BIT": str(flag.bit)}
    return {**where, "INET_SOCK_TYPE": str(flag.struct)} if flag.cast else where


def demands_transparency() -> bool:
    """Whether the programs that are built here can tell a transparent socket from another."""
    return transparent_flag() is not None
