"""bpf(2) through libbpf, by ctypes: loaded at first use, without bcc and its LLVM."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
from collections.abc import Callable
from functools import cache
from typing import Any

from netplan_tproxy.errors import KernelError, TproxyError
from netplan_tproxy.system.closing import Closing

_log = logging.getLogger(__name__)
# What is worth a line in the log; the rest reads.
_CHANGES = frozenset(
    {
        "bpf_prog_load", "bpf_map_create", "bpf_obj_pin", "bpf_prog_attach_opts",
        "bpf_prog_detach2", "bpf_map_update_elem", "bpf_map_update_batch",
        "bpf_map_delete_elem", "bpf_map_freeze", "bpf_link_create", "bpf_link_update",
        "bpf_link_detach",
    }
)  # fmt: skip


class Fd(Closing):
    """Owns a file descriptor and closes it once."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __int__(self) -> int:
        return self._number

    def close(self) -> None:
        """Close it; twice is fine."""
        if self._number >= 0:
            os.close(self._number)
            self._number = -1

    def __del__(self) -> None:
        self.close()


@cache
def library() -> Any:
    """Load libbpf. Raises TproxyError where there is none."""
    for name in ("libbpf.so.1", "libbpf.so.0"):
        try:
            found = ctypes.CDLL(name, use_errno=True)
        except OSError:
            continue
        # It prints what it thinks to standard error. What it answers is told in our words.
        found.libbpf_set_print(None)
        return found
    message = "libbpf not found: apt install python3-bpfcc (it brings libbpf); nothing was touched"
    raise TproxyError(message)


def call(function: str, *arguments: Any, what: str, quiet: bool = False) -> int:
    """Call a libbpf function that answers a number below zero, with errno, on failure.

    A change is logged unless ``quiet``.

    Raises KernelError whose message starts with ``what``.
    """
    bound: Callable[..., int] = getattr(library(), function)
    ctypes.set_errno(0)
    answer = bound(*arguments)
    if function in _CHANGES and not quiet:
        _log.debug("  bpf: %s: %s", what, "done" if answer >= 0 else os.strerror(abs(answer)))
    if answer >= 0:
        return answer
    # libbpf 1.x answers -errno; 0.x answers -1 and sets errno.
    code = ctypes.get_errno() or -answer
    hint = ""
    if code == errno.EPERM:
        hint = " (needs CAP_BPF and CAP_NET_ADMIN, and no lockdown of bpf)"
    message = f"{what}: {os.strerror(code)}{hint}"
    raise KernelError(message, code)


def path_argument(path: str) -> bytes:
    """Encode a path for C."""
    return os.fsencode(path)
