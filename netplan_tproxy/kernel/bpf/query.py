"""BPF programs that see packets before tc filters do: tcx and XDP."""

from __future__ import annotations

import ctypes
from pathlib import Path

from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.bpf.libbpf import call

_TCX_INGRESS, _TCX_EGRESS = 46, 47
_MOST = 16


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
    found = []
    for hook in (_TCX_INGRESS, _TCX_EGRESS):
        ids = (ctypes.c_uint32 * _MOST)()
        options = _QueryOptions(sz=ctypes.sizeof(_QueryOptions), prog_ids=ids, prog_cnt=_MOST)
        try:
            call("bpf_prog_query_opts", ifindex, hook, ctypes.byref(options), what="query tcx")
        except KernelError as refusal:
            if refusal.errno in _UNKNOWN:
                continue
            raise
        found += list(ids[: options.prog_cnt])
    return found


_UNKNOWN = frozenset({2, 22, 95})  # ENOENT, EINVAL, EOPNOTSUPP


def runs(*names: str) -> list[str]:
    """Name those of the programs that run here (their comm, proc(5))."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            found.add(path.read_text(encoding="utf-8", errors="replace").strip())
        except OSError:
            continue
    # The kernel cuts a name after 15 bytes.
    return [name for name in names if name[:15] in found]
