"""tcx programs: they see packets before tc filters do (Linux 6.6)."""

from __future__ import annotations

import ctypes
import errno

from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.bpf.libbpf import call

_TCX_INGRESS, _TCX_EGRESS = 46, 47
_MOST = 16
_NO_TCX = frozenset({errno.ENOENT, errno.EINVAL, errno.EOPNOTSUPP})


class _QueryOptions(ctypes.Structure):
    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("query_flags", ctypes.c_uint32),
        ("attach_flags", ctypes.c_uint32),
        ("prog_ids", ctypes.POINTER(ctypes.c_uint32)),
        ("prog_cnt", ctypes.c_uint32),
        ("prog_attach_flags", ctypes.POINTER(ctypes.c_uint32)),
    )


def tcx_programs(ifindex: int) -> list[int]:
    """Give the ids of a device's tcx programs; none before Linux 6.6.

    Raises KernelError (EPERM).
    """
    programs = []
    for hook in (_TCX_INGRESS, _TCX_EGRESS):
        ids = (ctypes.c_uint32 * _MOST)()
        options = _QueryOptions(sz=ctypes.sizeof(_QueryOptions), prog_ids=ids, prog_cnt=_MOST)
        try:
            call("bpf_prog_query_opts", ifindex, hook, ctypes.byref(options), what="query tcx")
        except KernelError as refusal:
            if refusal.errno in _NO_TCX:
                continue
            raise
        programs += list(ids[: options.prog_cnt])
    return programs
