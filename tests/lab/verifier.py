"""How many instructions the verifier walks, by its own word."""

from __future__ import annotations

import contextlib
import ctypes
import re
from typing import TYPE_CHECKING, Any
from unittest import mock

from netplan_tproxy.kernel.bpf.libbpf import call

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATISTICS = 4
"""BPF_LOG_STATS (Linux 5.2), which costs a line; bpf_prog_info says it since 5.16 only."""
_TRIAL = "probe"
"""What is loaded to see whether the kernel takes it."""


@contextlib.contextmanager
def counted() -> Iterator[dict[str, int]]:
    """Gather from each program that this process loads meanwhile: its name, and the count."""
    steps: dict[str, int] = {}

    def asked(function: str, *arguments: Any, **words: Any) -> int:
        if function != "bpf_prog_load":
            return call(function, *arguments, **words)
        log = ctypes.create_string_buffer(1 << 16)
        options = arguments[-1]._obj
        if not options.log_level:
            options.log_level = _STATISTICS
            options.log_size, options.log_buf = len(log), ctypes.addressof(log)
        fd = call(function, *arguments, **words)
        if walked := re.search(rb"processed (\d+) insns", log.value):
            steps[arguments[1].decode()] = int(walked[1])
            steps.pop(_TRIAL, None)
        return fd

    with mock.patch("netplan_tproxy.kernel.bpf.programs.call", asked):
        yield steps
