"""Where the running kernel keeps the flag IP_TRANSPARENT of a socket, by its BTF."""

from __future__ import annotations

import ctypes
import struct
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

from netplan_tproxy.errors import TproxyError
from netplan_tproxy.kernel.bpf.btf import bits_of, function_number, struct_number, vmlinux
from netplan_tproxy.kernel.bpf.programs import load_program

_BTF = Path("/sys/kernel/btf/vmlinux")
_FLAG = b"INET_FLAGS_TRANSPARENT"
_BITS = 64  # of the unsigned long that holds the flags
_BYTE = 8
_SCHED_CLS = 3  # BPF_PROG_TYPE_SCHED_CLS
_PROBE_READ_KERNEL = 113


class TransparentFlag(NamedTuple):
    """A byte of ``struct inet_sock`` and a bit of it; ``struct`` is the struct's number.

    ``cast`` is the number of bpf_rdonly_cast, with which a program may read any struct; 0
    before Linux 6.2.
    """

    byte: int
    bit: int
    struct: int
    cast: int


@cache
def transparent_flag() -> TransparentFlag | None:
    """Find the flag; None where the kernel does not tell, or lets no program read it."""
    with vmlinux() as btf:
        if btf is None:
            return None
        place = _in_flags(btf) or _in_bit_field(btf)
        if place is None:
            return None
        inet_sock = struct_number(btf, "inet_sock")
        cast = function_number(btf, "bpf_rdonly_cast")
        return TransparentFlag(*place, inet_sock, cast) if cast or _may_probe() else None


def _in_flags(btf: ctypes.c_void_p) -> tuple[int, int] | None:
    """Find it since Linux 6.6: a bit of ``inet_flags``."""
    at = bits_of(btf, "inet_sock", "inet_flags")
    number = None if at is None else enumerator(_read(), _FLAG)
    if at is None or number is None:
        return None
    byte = number // _BYTE
    if sys.byteorder == "big":
        byte = _BITS // _BYTE - 1 - byte
    return at // _BYTE + byte, number % _BYTE


def _in_bit_field(btf: ctypes.c_void_p) -> tuple[int, int] | None:
    """Find it before that: a bit field of its own."""
    at = bits_of(btf, "inet_sock", "transparent")
    if at is None:
        return None
    bit = at % _BYTE
    return at // _BYTE, bit if sys.byteorder == "little" else _BYTE - 1 - bit


def _may_probe() -> bool:
    """Whether bpf_probe_read_kernel may be called: lockdown can refuse it."""
    mov, exit_ = struct.pack("=BBhi", 0xB7, 0, 0, 0), struct.pack("=BBhi", 0x95, 0, 0, 0)
    registers = [struct.pack("=BBhi", 0xB7, number, 0, 0) for number in (2, 3)]
    stack = struct.pack("=BBhi", 0xBF, 0xA1, 0, 0) + struct.pack("=BBhi", 0x07, 1, 0, -8)
    call = struct.pack("=BBhi", 0x85, 0, 0, _PROBE_READ_KERNEL)
    code = b"".join((stack, *registers, call, mov, exit_))
    try:
        load_program(
            name="probe", prog_type=_SCHED_CLS, insns=code, license="GPL", relocs=(), maps={}
        ).close()
    except TproxyError:
        return False
    return True


def _read() -> bytes:
    try:
        return _BTF.read_bytes()
    except OSError:
        return b""


def enumerator(btf: bytes, name: bytes) -> int | None:
    """Give the value of an enumerator of an enum without a name, which libbpf cannot look up.

    Such enumerators are pairs of 32 bits, a name's offset and a value, and this one stands
    behind another with the same prefix.
    """
    header = 24  # struct btf_header
    if len(btf) < header:
        return None
    words = memoryview(btf)[:header].cast("I")
    # It is several megabytes: searched where it lies.
    types, types_end = words[1] + words[2], words[1] + words[2] + words[3]
    strings, end = words[1] + words[4], words[1] + words[4] + words[5]
    prefix = name[: name.rindex(b"_") + 1]
    at = btf.find(b"\0" + name + b"\0", strings, end) + 1
    wanted = (at - strings).to_bytes(4, sys.byteorder) if at else b""
    index = btf.find(wanted, types, types_end) if at else -1
    while index >= 0:
        if (index - types) % 4 == 0 and index >= types + _BYTE:
            before = int.from_bytes(btf[index - _BYTE : index - 4], sys.byteorder)
            value = int.from_bytes(btf[index + 4 : index + _BYTE], sys.byteorder)
            if btf.startswith(prefix, strings + before) and value < _BITS:
                return value
        index = btf.find(wanted, index + 1, types_end)
    return None
