"""Faults that strace(1) injects: the program under test is not asked to cooperate."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ERRORS = ("EIO", "ENOSPC", "ENOBUFS", "ENOMEM", "EPERM", "EINTR")
SIGNALS = ("KILL", "TERM")
DELAY = "delay_enter=30000"  # microseconds
# What each name stands for: the C library goes by another call for some.
CALLS = {
    "send": "sendto,sendmsg", "receive": "recvfrom,recvmsg",
    "bpf": "bpf", "openat": "openat,openat2", "write": "write,pwrite64", "fsync": "fsync",
    "rename": "rename,renameat,renameat2", "unlink": "unlink,unlinkat,rmdir",
    "mkdir": "mkdir,mkdirat", "mmap": "mmap",
}  # fmt: skip
_NAMES = {call: name for name, calls in CALLS.items() for call in calls.split(",")}
_CALL = re.compile(r"^(\d+) +(\w+)\(")


@dataclass(frozen=True)
class Fault:
    """What happens to the call number ``when`` (from 1) of each process."""

    name: str
    effect: str
    when: int

    @property
    def words(self) -> list[str]:
        """The options of strace."""
        # Some architectures lack the older calls: "?" lets strace go on without them.
        calls = ",".join(f"?{call}" for call in CALLS[self.name].split(","))
        return ["-e", f"trace={calls}", "-e", f"inject={calls}:{self.effect}:when={self.when}"]


def traced(log: Path, options: list[str]) -> tuple[str, ...]:
    """Words to put before a command."""
    return ("strace", "-f", "--seccomp-bpf", "-qq", "-s", "120", "-o", str(log), *options)


def counting() -> list[str]:
    """Options that only write down what could be hit."""
    calls = ",".join(f"?{call}" for calls in CALLS.values() for call in calls.split(","))
    return ["-e", f"trace={calls}"]


def counts(log: Path) -> dict[str, int]:
    """How often the process that calls most often makes each call."""
    seen: Counter[tuple[str, str]] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        match = _CALL.match(line)
        if match:
            seen[match[1], _NAMES.get(match[2], match[2])] += 1
    most: dict[str, int] = {}
    for (_, name), count in seen.items():
        most[name] = max(most.get(name, 0), count)
    return most


def hit(log: Path, fault: Fault) -> str:
    """The first line that shows the fault; "" where it never came to pass."""
    if not log.exists():
        return ""
    made: Counter[str] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        match = _CALL.match(line)
        if match and _NAMES.get(match[2]) == fault.name:
            made[match[1]] += 1
            if made[match[1]] == fault.when:
                return line.partition(" ")[2].strip()[:200]
    return ""
