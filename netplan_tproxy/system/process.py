"""Processes, told apart from later ones with the same number; the time since boot."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process; ``started`` in clock ticks since boot."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether it still runs (proc(5): field 22 of stat is its start, in clock ticks)."""
        return started(self.pid) == self.started


def started(pid: int) -> int:
    """Return the start time of a process; 0 if there is none, or if it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    fields = stat.rpartition(")")[2].split()
    return 0 if fields[0] in "ZX" else int(fields[19])


def since_boot() -> float:
    """Return the seconds since boot, time in suspend included (CLOCK_BOOTTIME)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
