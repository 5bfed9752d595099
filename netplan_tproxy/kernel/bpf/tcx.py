"""tcx: programs on a device's hooks that run before its tc filters (Linux 6.6).

A link attaches one. It goes with its last descriptor or pin, and loses its device when that goes.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from typing import NamedTuple

from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.bpf.attach import query
from netplan_tproxy.kernel.bpf.libbpf import Fd, call

# enum bpf_attach_type.
HOOKS = {"ingress": 46, "egress": 47}
_BEFORE = 8  # BPF_F_BEFORE: with no other program named, before all that are there
_LOOPBACK = 1
_NO_TCX = frozenset({errno.EINVAL, errno.EOPNOTSUPP})
_NONE = frozenset({errno.ENOENT, errno.ENODEV, *_NO_TCX})
_GONE = frozenset({errno.ENOENT, errno.ENOLINK, errno.EINVAL})
_LINK = struct.Struct("=III4xII")  # struct bpf_link_info: type, id, program; device, hook


class _CreateOptions(ctypes.Structure):
    _fields_ = (("sz", ctypes.c_size_t), ("flags", ctypes.c_uint32), ("pad", ctypes.c_uint32))


class TcxLink(NamedTuple):
    """What a link attaches to what; ``ifindex`` is 0 when it is detached, or its device gone."""

    prog_id: int
    ifindex: int
    hook: str


def programs(ifindex: int, hook: str) -> list[int]:
    """Give the ids of a hook's programs, in the order in which they run; none before Linux 6.6.

    Raises KernelError (EPERM).
    """
    try:
        return query(ifindex, HOOKS[hook])
    except KernelError as refusal:
        if refusal.errno in _NONE:
            return []
        raise


def is_known() -> bool:
    """Whether this kernel has tcx. Raises KernelError (EPERM)."""
    try:
        query(_LOOPBACK, HOOKS["ingress"])
    except KernelError as refusal:
        if refusal.errno in _NO_TCX:
            return False
        raise
    return True


def attach_first(program: int, ifindex: int, hook: str) -> Fd:
    """Attach a program before those that are there. Gives the link. Raises KernelError."""
    options = _CreateOptions(sz=ctypes.sizeof(_CreateOptions), flags=_BEFORE)
    what = f"attach program to tcx {hook}"
    link = call("bpf_link_create", program, ifindex, HOOKS[hook], ctypes.byref(options), what=what)
    return Fd(link)


def exchange(link: Fd, program: int) -> None:
    """Let a link run another program from now on, at the same place. Raises KernelError."""
    call("bpf_link_update", int(link), program, None, what="exchange program of tcx link")


def detach(link: Fd) -> None:
    """Detach, whoever else holds the link; detached already is fine. Raises KernelError."""
    try:
        call("bpf_link_detach", int(link), what="detach tcx link")
    except KernelError as refusal:
        if refusal.errno not in _GONE:
            raise


def link_info(link: Fd) -> TcxLink:
    """Ask what a link attaches to what. Raises KernelError."""
    buffer = ctypes.create_string_buffer(_LINK.size)
    size = ctypes.c_uint32(len(buffer))
    call("bpf_obj_get_info_by_fd", int(link), buffer, ctypes.byref(size), what="read tcx link")
    _, _, prog_id, ifindex, kind = _LINK.unpack(buffer.raw)
    hook = next((name for name, number in HOOKS.items() if number == kind), "")
    return TcxLink(prog_id, ifindex, hook)
