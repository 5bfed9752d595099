"""Which BPF programs sit on cgroups, namespaces and devices, asked of libbpf."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from tests.lab import cgroups

# enum bpf_attach_type (UAPI): those whose target is a cgroup, a network namespace, a device.
_CGROUP = {
    "ingress": 0, "egress": 1, "sock_create": 2, "sock_ops": 3, "device": 6, "bind4": 8,
    "bind6": 9, "connect4": 10, "connect6": 11, "post_bind4": 12, "post_bind6": 13,
    "sendmsg4": 14, "sendmsg6": 15, "sysctl": 18, "recvmsg4": 19, "recvmsg6": 20,
    "getsockopt": 21, "setsockopt": 22, "getpeername4": 29, "getpeername6": 30,
    "getsockname4": 31, "getsockname6": 32, "sock_release": 34,
}  # fmt: skip
_NETNS = {"flow_dissector": 17, "sk_lookup": 36}
_DEVICE = {"tcx_ingress": 46, "tcx_egress": 47}
_MOST = 64


def _programs(libbpf: ctypes.CDLL, target: int, kind: int) -> list[int]:
    ids = (ctypes.c_uint32 * _MOST)()
    count = ctypes.c_uint32(_MOST)
    flags = ctypes.c_uint32(0)
    result = libbpf.bpf_prog_query(target, kind, 0, ctypes.byref(flags), ids, ctypes.byref(count))
    return list(ids[: count.value]) if result >= 0 else []


def attached(netns_fd: int, devices: dict[str, int]) -> list[str]:
    """Lines such as ``cgroup / sock_ops: 1 program``; to be called inside the namespace."""
    try:
        libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
    except OSError:
        return ["libbpf.so.1 is not there: nothing known"]
    lines = []
    for name, kind in _NETNS.items():
        lines += _line(f"netns {name}", _programs(libbpf, netns_fd, kind))
    for device, index in devices.items():
        for name, kind in _DEVICE.items():
            lines += _line(f"device {device} {name}", _programs(libbpf, index, kind))
    for root in cgroups.roots()[:1]:
        lines += _cgroups(libbpf, root)
    return lines


def _cgroups(libbpf: ctypes.CDLL, root: Path) -> list[str]:
    lines = []
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name, kind in _CGROUP.items():
            lines += _line(f"cgroup / {name}", _programs(libbpf, fd, kind))
    finally:
        os.close(fd)
    return lines


def _line(where: str, programs: list[int]) -> list[str]:
    return [f"{where}: {len(programs)} attached"] if programs else []
