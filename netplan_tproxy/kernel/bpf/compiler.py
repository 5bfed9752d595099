"""C to BPF instructions with BCC, through our own small header tree (no kernel headers).

The only importer of bcc, and it imports it late: that costs a tenth of a second and 75 MB.
BCC makes maps of its own while compiling; they are dropped with its module, and what is
kept are the instructions with the places that name a map.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from netplan_tproxy.errors import TproxyError
from netplan_tproxy.kernel.bpf.compiled import Compiled, Module, Table
from netplan_tproxy.kernel.bpf.toolchain import NO_BCC
from netplan_tproxy.system.programs import environment

_INSN = 8
_LD_IMM64 = 0x18
_PSEUDO_MAP_FD = 1


def compile_programs(
    source: str, *, headers: str, defines: Mapping[str, str], functions: Sequence[str]
) -> Module:
    """Compile ``source`` with BCC; ``headers`` is the header tree that stands for the kernel's.

    A source compiles once per process. Raises TproxyError without bcc, or with the
    compiler's first complaint.
    """
    return _compile(source, headers, tuple(sorted(defines.items())), tuple(functions))


@cache
def _compile(
    source: str, headers: str, defines: tuple[tuple[str, str], ...], functions: tuple[str, ...]
) -> Module:
    flags = [
        # BCC brings its own linux/bpf.h, newer than the system's may be.
        "-D__LINUX_BPF_H__",
        "-I/usr/include",
        f"-I/usr/include/{platform.machine()}-linux-gnu",
        "-Wno-macro-redefined",
        # A mere warning otherwise, and a program that no kernel takes.
        "-Werror=implicit-function-declaration",
        *(f"-D{name}={value}" for name, value in defines),
    ]
    # Also BCC_… and CPATH name files that become part of a program.
    told = {**environment(), "BCC_KERNEL_SOURCE": headers}
    with _environment(told), _complaints() as complaints, warnings.catch_warnings():
        # bcc's ctypes structures have no _layout_, which Python 3.14 deprecates: its own matter.
        warnings.simplefilter("ignore")
        bcc = _bcc()
        try:
            module = bcc.BPF(text=source.encode(), cflags=flags)
        except Exception as failure:
            lines = complaints()
            first = next((line for line in lines if "error:" in line), str(failure))
            message = f"compile bpf programs: {first.strip()}; nothing was touched"
            raise TproxyError(message) from failure
        try:
            tables = _tables(bcc.lib, module.module)
            names = {fd: name for name, (fd, _) in tables.items()}
            programs = {
                function: _instructions(bcc.lib, module.module, function, names)
                for function in functions
            }
        finally:
            module.cleanup()
    return Module(programs, {name: table for name, (_, table) in tables.items()})


def _bcc() -> Any:
    try:
        import bcc  # noqa: PLC0415
    except ImportError as missing:
        raise TproxyError(NO_BCC) from missing
    if not hasattr(bcc, "BPF"):
        message = (
            "bcc is another program (the one of PyPI): remove it, and apt install python3-bpfcc; "
            "nothing was touched"
        )
        raise TproxyError(message)
    return bcc


def _tables(lib: Any, module: Any) -> dict[str, tuple[int, Table]]:
    # bcc's own ctypes declarations leave these out.
    by_number = ("name", "fd_id", "type_id", "key_size_id", "leaf_size_id", "max_entries_id",
                 "flags_id")  # fmt: skip
    for suffix in by_number:
        function = getattr(lib, f"bpf_table_{suffix}")
        function.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
        function.restype = ctypes.c_char_p if suffix == "name" else ctypes.c_int
    tables = {}
    for number in range(lib.bpf_num_tables(module)):
        name = lib.bpf_table_name(module, number).decode()
        tables[name] = (
            lib.bpf_table_fd_id(module, number),
            Table(
                lib.bpf_table_type_id(module, number),
                lib.bpf_table_key_size_id(module, number),
                lib.bpf_table_leaf_size_id(module, number),
                lib.bpf_table_max_entries_id(module, number),
                lib.bpf_table_flags_id(module, number),
            ),
        )
    return tables


def _instructions(lib: Any, module: Any, function: str, names: Mapping[int, str]) -> Compiled:
    start = lib.bpf_function_start(module, function.encode())
    size = lib.bpf_function_size(module, function.encode())
    code = bytearray(ctypes.string_at(start, size))
    relocs = []
    index = 0
    while index < size // _INSN:
        opcode, registers, _, value = struct.unpack_from("=BBhi", code, index * _INSN)
        wide = opcode == _LD_IMM64
        if wide and registers >> 4 == _PSEUDO_MAP_FD:
            relocs.append((index, names[value]))
            struct.pack_into("=i", code, index * _INSN + 4, 0)
        index += 2 if wide else 1
    return Compiled(bytes(code), tuple(relocs))


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Let the environment be this alone, while it lasts."""
    before = dict(os.environ)
    _replace_environment(values)
    try:
        yield
    finally:
        _replace_environment(before)


def _replace_environment(values: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(values)


@contextlib.contextmanager
def _complaints() -> Iterator[Any]:
    """Catch what clang writes to descriptor 2; for all threads, while it lasts."""
    # In memory: no place on a disk that has to be there, and that others might prepare.
    with os.fdopen(os.memfd_create("complaints"), "rb") as caught:
        saved = os.dup(2)
        os.dup2(caught.fileno(), 2)

        def lines() -> list[str]:
            caught.seek(0)
            return caught.read().decode(errors="replace").splitlines()

        try:
            yield lines
        finally:
            os.dup2(saved, 2)
            os.close(saved)
