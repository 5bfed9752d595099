"""Programs on cgroups and on socket maps (bpf(2): BPF_PROG_ATTACH, _DETACH, _QUERY)."""

from __future__ import annotations

import ctypes
import errno

from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.bpf.libbpf import Fd, call

ALLOW_MULTI, _REPLACE = 2, 4
_MOST = 64
_GONE = frozenset({errno.ENOENT, errno.EINVAL, errno.EBADF})


class _AttachOptions(ctypes.Structure):
    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("flags", ctypes.c_uint32),
        ("replace_prog_fd", ctypes.c_int),
    )


def query(target: Fd | int, kind: int) -> list[int]:
    """Give the ids of the programs of an attach type on ``target``, or a device's number.

    Raises KernelError.
    """
    ids = (ctypes.c_uint32 * _MOST)()
    count, flags = ctypes.c_uint32(_MOST), ctypes.c_uint32(0)
    call(
        "bpf_prog_query", int(target), kind, 0, ctypes.byref(flags), ids, ctypes.byref(count),
        what="ask for attached programs",
    )  # fmt: skip
    return list(ids[: count.value])


def attach(program: int, target: Fd, kind: int, flags: int, replaced: int | None) -> None:
    """Attach a program; ``replaced`` is the descriptor of the one it takes the place of."""
    options = _AttachOptions(sz=ctypes.sizeof(_AttachOptions), flags=flags)
    if replaced is not None:
        options.flags, options.replace_prog_fd = flags | _REPLACE, replaced
    call(
        "bpf_prog_attach_opts", program, int(target), kind, ctypes.byref(options),
        what="attach program",
    )  # fmt: skip


def detach(program: int, target: Fd, kind: int) -> None:
    """Detach a program; one that is not there is fine. Raises KernelError."""
    try:
        call("bpf_prog_detach2", program, int(target), kind, what="detach program")
    except KernelError as refusal:
        if refusal.errno not in _GONE:
            raise
