"""The capabilities of this process (capabilities(7))."""

from __future__ import annotations

import os
from pathlib import Path

from netplan_tproxy.errors import TproxyError

# include/uapi/linux/capability.h
_CAP_NET_ADMIN, _CAP_SYS_ADMIN, _CAP_PERFMON, _CAP_BPF = 12, 21, 38, 39


def effective_capabilities() -> int:
    """Read this thread's effective capabilities as a bit set (capabilities(7))."""
    for line in Path("/proc/thread-self/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return int(value, 16)
    return 0


def may_administer() -> bool:
    """Whether CAP_SYS_ADMIN is held."""
    return bool(effective_capabilities() >> _CAP_SYS_ADMIN & 1)


def may_read_kernel_memory() -> bool:
    """Whether CAP_PERFMON (or CAP_SYS_ADMIN) is held: pointer arithmetic and casts take it."""
    have = effective_capabilities()
    return bool(have >> _CAP_PERFMON & 1 or have >> _CAP_SYS_ADMIN & 1)


def require_privileges() -> None:
    """Raise TproxyError unless CAP_NET_ADMIN and CAP_BPF (or CAP_SYS_ADMIN) are held."""
    have = effective_capabilities()
    missing = []
    if not have >> _CAP_NET_ADMIN & 1:
        missing.append("CAP_NET_ADMIN")
    if not (have >> _CAP_BPF & 1 or have >> _CAP_SYS_ADMIN & 1):
        missing.append("CAP_BPF")
    if missing:
        way = "run it with sudo"
        if os.geteuid() == 0:
            them = "it" if len(missing) == 1 else "them"
            way = f"give {them} to this container or unit (--cap-add, CapabilityBoundingSet=)"
        message = f"{' and '.join(missing)} missing: {way}; nothing was touched"
        raise TproxyError(message)
