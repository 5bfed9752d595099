"""Calls of the kernel's own functions (kfuncs), which BCC's compiler knows nothing of."""

from __future__ import annotations

import struct

_INSN = 8
_LD_IMM64, _CALL = 0x18, 0x85
_PSEUDO_KFUNC_CALL = 2


def call_instead(insns: bytes, helper: int, function: int) -> bytes:
    """Let each call of the helper with this number be one of a function, by its BTF number."""
    code = bytearray(insns)
    index = 0
    while index < len(code):
        opcode, registers, _, value = struct.unpack_from("=BBhi", code, index)
        if (opcode, registers, value) == (_CALL, 0, helper):
            given = _PSEUDO_KFUNC_CALL << 4
            struct.pack_into("=BBhi", code, index, _CALL, given, 0, function)
        index += _INSN * (2 if opcode == _LD_IMM64 else 1)
    return bytes(code)
