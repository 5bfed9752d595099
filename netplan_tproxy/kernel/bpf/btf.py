"""Offsets of fields in the running kernel's structs, from its type information (BTF)."""

from __future__ import annotations

import contextlib
import ctypes
import struct
from collections.abc import Iterator
from functools import cache

from netplan_tproxy.kernel import features
from netplan_tproxy.kernel.bpf.libbpf import library
from netplan_tproxy.kernel.host.release import linux_version

_STRUCT, _FUNC = 4, 12
_HEAD, _MEMBER = 12, 12
_MARKED_LOOKUPS = features.named("mark in struct bpf_fib_lookup").since
_kept: list[ctypes.c_void_p] = []


@cache
def rmem_alloc_offset() -> int | None:
    """Give the byte offset of ``sk_backlog.rmem_alloc`` in ``struct sock``.

    That is ``sk_rmem_alloc``, the bytes that wait for a socket's reader; None where the
    kernel does not tell.
    """
    with vmlinux() as btf:
        return _bytes(bits_of(btf, "sock", "sk_backlog", "rmem_alloc")) if btf else None


@cache
def waits_for_offset() -> int | None:
    """Give the byte offset of ``skc_tw_rcv_nxt`` in ``struct tcp_timewait_sock``.

    That is the sequence number that TIME_WAIT waits for; None where a program can't read it
    (no BTF, or Linux < 5.9).
    """
    with vmlinux() as btf:
        if btf is None or not function_number(btf, "bpf_skc_to_tcp_timewait_sock"):
            return None
        path = ("tw_sk", "__tw_common", "skc_tw_rcv_nxt")
        return _bytes(bits_of(btf, "tcp_timewait_sock", *path))


@cache
def knows_lookups_by_mark() -> bool:
    """Whether ``bpf_fib_lookup`` takes a mark (Linux 6.10); without BTF the version says so."""
    with vmlinux() as btf:
        if btf is None:
            return linux_version() >= _MARKED_LOOKUPS
        return bits_of(btf, "bpf_fib_lookup", "mark") is not None


@cache
def knows_shared_ports() -> bool:
    """Whether ``bpf_sk_assign`` takes sockets with SO_REUSEPORT, as far as BTF tells.

    It looks the listener up anew then, by a function that came with that change.
    """
    with vmlinux() as btf:
        return btf is not None and function_number(btf, "inet_lookup_reuseport") > 0


def is_described() -> bool:
    """Whether the kernel tells of its types, here where it is asked."""
    with vmlinux() as btf:
        return btf is not None


def function_number(btf: ctypes.c_void_p, name: str) -> int:
    """Give the number of a function of the kernel's; 0: it has none of that name."""
    return max(0, int(library().btf__find_by_name_kind(btf, name.encode(), _FUNC)))


def struct_number(btf: ctypes.c_void_p, name: str) -> int:
    """Give the number of a struct; 0: there is none of that name."""
    return max(0, int(library().btf__find_by_name_kind(btf, name.encode(), _STRUCT)))


def _bytes(bits: int | None) -> int | None:
    return None if bits is None else bits // 8


def bits_of(btf: ctypes.c_void_p, of: str, *path: str) -> int | None:
    """Give the offset of a member of a member of a struct in bits; None: it is not known."""
    inner = struct_number(btf, of)
    total = 0
    for name in path:
        member = _member(btf, inner, name.encode())
        if member is None:
            return None
        at, inner = member
        total += at
    return total


@contextlib.contextmanager
def vmlinux() -> Iterator[ctypes.c_void_p | None]:
    """Give the running kernel's type information; None where there is none.

    Reading it takes 20 ms and 10 MB: it is kept for the next time.
    """
    bpf = library()
    bpf.btf__load_vmlinux_btf.restype = ctypes.c_void_p
    bpf.btf__type_by_id.restype = ctypes.c_void_p
    bpf.btf__name_by_offset.restype = ctypes.c_char_p
    if not _kept:
        # libbpf has one answer to all that fails. A second try tells what passes from what stays.
        btf = _pointer(bpf.btf__load_vmlinux_btf()) or _pointer(bpf.btf__load_vmlinux_btf())
        if btf is not None:
            _kept.append(btf)
    yield _kept[0] if _kept else None


def _pointer(answer: int | None) -> ctypes.c_void_p | None:
    """Give a pointer that libbpf answers; None for an error (a small negative number)."""
    return ctypes.c_void_p(answer) if answer and ctypes.c_long(answer).value >= 0 else None


def _member(btf: ctypes.c_void_p, number: int, name: bytes) -> tuple[int, int] | None:
    """Give a member's offset in bits and its type (Documentation/bpf/btf.rst)."""
    bpf = library()
    kind = bpf.btf__type_by_id(btf, number) if number > 0 else None
    if not kind:
        return None
    _, info, _ = struct.unpack("=III", ctypes.string_at(kind, _HEAD))
    for index in range(info & 0xFFFF):
        raw = ctypes.string_at(kind + _HEAD + index * _MEMBER, _MEMBER)
        name_at, member_type, bits = struct.unpack("=III", raw)
        at = bits & 0xFFFFFF if info >> 31 else bits  # kind_flag: the rest is a bit field's width
        its_name = bpf.btf__name_by_offset(btf, name_at)
        if its_name == name:
            return at, member_type
        if its_name == b"":
            # A struct or union without a name: its members count as the outer one's.
            inner = _member(btf, member_type, name)
            if inner is not None:
                return at + inner[0], inner[1]
    return None
