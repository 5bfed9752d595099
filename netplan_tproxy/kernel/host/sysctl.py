"""Reading and writing below /proc/sys (sysctl(8)).

/proc/sys/net shows the network namespace of the thread that opens it.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from netplan_tproxy.errors import KernelError

_ROOT = Path("/proc/sys")

_log = logging.getLogger(__name__)


def read_sysctl(path: str) -> str | None:
    """Read one value, its white space folded; None where there is no such sysctl."""
    try:
        return " ".join((_ROOT / path).read_text(encoding="utf-8").split())
    except FileNotFoundError:
        return None
    except OSError as refusal:
        message = f"read sysctl {path}: {refusal.strerror}"
        raise KernelError(message, refusal.errno or 0) from refusal


def is_read_only(path: str) -> bool:
    """Whether /proc/sys is mounted read-only where a setting is, as in most containers."""
    try:
        return bool(os.statvfs(_ROOT / path).f_flag & os.ST_RDONLY)
    except OSError:  # it is gone: writing it will tell
        return False


def has_ipv6() -> bool:
    """Whether this kernel has IPv6: it can be built without, and disabled at boot."""
    return (_ROOT / "net/ipv6").exists() or not (_ROOT / "net/ipv4").exists()


def dotted(path: str) -> str:
    """Give a name as sysctl(8) has it; it swaps dots and slashes where a part has a dot."""
    return path if "." in path else path.replace("/", ".")


def write_sysctl(path: str, value: str) -> None:
    """Set one value. Raises KernelError with the kernel's answer."""
    try:
        # Of nothing at all the kernel is not told: an empty list needs the end of its line.
        (_ROOT / path).write_text(f"{value}\n", encoding="utf-8")
        _log.debug("  sysctl: set %s to %s: done", path, value)
    except OSError as refusal:
        _log.debug("  sysctl: set %s to %s: %s", path, value, refusal.strerror)
        message = f"set sysctl {path} to {value}: {refusal.strerror}"
        raise KernelError(message, refusal.errno or 0) from refusal
