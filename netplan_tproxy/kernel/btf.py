"""Where the running kernel keeps a field, from its own type information (BTF)."""

from __future__ import annotations

import ctypes
import struct
from functools import cache

from netplan_tproxy.errors import TproxyError
from netplan_tproxy.kernel.libbpf import library

_STRUCT = 4
_HEAD, _MEMBER = 12, 12


@cache
def rmem_alloc_offset() -> int:
    """Give the byte offset of ``sk_backlog.rmem_alloc`` in ``struct sock``.

    That is ``sk_rmem_alloc``, the bytes that wait for a socket's reader. Raises TproxyError
    where the kernel tells nothing of its types.
    """
    bpf = library()
    bpf.btf__load_vmlinux_btf.restype = ctypes.c_void_p
    bpf.btf__type_by_id.restype = ctypes.c_void_p
    bpf.btf__name_by_offset.restype = ctypes.c_char_p
    btf = bpf.btf__load_vmlinux_btf()
    if not btf or ctypes.c_long(btf).value < 0:
        message = (
            "fastpath: this kernel has no BTF (/sys/kernel/btf/vmlinux, CONFIG_DEBUG_INFO_BTF), so "
            "nobody could tell how much waits for a reader; nothing was touched"
        )
        raise TproxyError(message)
    pointer = ctypes.c_void_p(btf)
    try:
        number = bpf.btf__find_by_name_kind(pointer, b"sock", _STRUCT)
        backlog, inner = _member(bpf, pointer, number, b"sk_backlog")
        rmem, _ = _member(bpf, pointer, inner, b"rmem_alloc")
    finally:
        bpf.btf__free(pointer)
    return backlog + rmem


def _member(bpf: ctypes.CDLL, btf: ctypes.c_void_p, number: int, name: bytes) -> tuple[int, int]:
    """Give a member's offset in bytes and its type (Documentation/bpf/btf.rst)."""
    kind = bpf.btf__type_by_id(btf, number) if number > 0 else None
    if kind:
        _, info, _ = struct.unpack("=III", ctypes.string_at(kind, _HEAD))
        for index in range(info & 0xFFFF):
            raw = ctypes.string_at(kind + _HEAD + index * _MEMBER, _MEMBER)
            at, member_type, bits = struct.unpack("=III", raw)
            if bpf.btf__name_by_offset(btf, at) == name:
                return (bits & 0xFFFFFF) // 8, member_type
    message = f"fastpath: this kernel's struct sock has no {name.decode()}; nothing was touched"
    raise TproxyError(message)
