"""Faults that strace(1) injects: the program under test is not asked to cooperate."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

ERRORS = ("EIO", "ENOSPC", "ENOBUFS", "ENOMEM", "EPERM", "EINTR")
SIGNALS = ("KILL", "TERM")
DELAY = "delay_enter=30000"  # microseconds
EFFECTS = (*(f"error={name}" for name in ERRORS), *(f"signal={name}" for name in SIGNALS), DELAY)
CALLS = (
    "sendto", "sendmsg", "recvfrom", "recvmsg", "bpf", "openat", "openat2", "write", "pwrite64",
    "fsync", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat",
    "mmap",
)  # fmt: skip
_FAST = "--seccomp-bpf"
_CALL = re.compile(r"^(\d+) +(\w+)\(")
_TEXTS = re.compile(r'"([^"]*)"')


class Made(NamedTuple):
    """A call that a process made, as strace wrote it down."""

    process: str
    call: str
    line: str

    def alike(self, folders: Iterable[str]) -> tuple[str, ...]:
        """What it has in common with the same call of another run; ``folders`` differ."""
        texts = _TEXTS.findall(self.line.partition(" = ")[0])
        for folder in folders:
            texts = [text.replace(folder, "") for text in texts]
        return (self.call, *texts)


@dataclass(frozen=True)
class Fault:
    """What happens to the call number ``when`` (from 1) of each process.

    strace counts each call by itself, so ``call`` is one, not a family of them.
    """

    call: str
    effect: str
    when: int

    @property
    def words(self) -> list[str]:
        """The options of strace."""
        # Some architectures lack the older calls: "?" lets strace go on without them.
        inject = f"inject=?{self.call}:{self.effect}:when={self.when}"
        # It injects no signal where it lets the kernel stop the process (6.1: tried).
        fast = [] if self.effect.startswith("signal=") else [_FAST]
        return [*fast, "-e", f"trace=?{self.call}", "-e", inject]

    @property
    def evidence(self) -> str:
        """What strace writes down when it strikes."""
        kind, _, name = self.effect.partition("=")
        if kind == "signal":
            return "+++ killed by SIGKILL" if name == "KILL" else f"--- SIG{name} "
        return "(INJECTED)" if kind == "error" else "(DELAYED)"


def traced(log: Path, options: list[str]) -> tuple[str, ...]:
    """Words to put before a command."""
    return ("strace", "-f", "-qq", "-s", "120", "-o", str(log), *options)


def counting() -> list[str]:
    """Options that only write down what could be hit."""
    return [_FAST, "-e", f"trace={','.join(f'?{call}' for call in CALLS)}"]


def made(log: Path) -> Iterator[Made]:
    """Read which calls were made."""
    for line in log.read_text(errors="replace").splitlines():
        match = _CALL.match(line)
        if match:
            yield Made(match[1], match[2], line.partition(" ")[2].strip())


def counts(calls: Iterable[Made]) -> dict[str, int]:
    """How often the process that calls most often makes each call."""
    most: dict[str, int] = {}
    for (_, call), count in Counter((one.process, one.call) for one in calls).items():
        most[call] = max(most.get(call, 0), count)
    return most


def hit(log: Path, fault: Fault) -> str:
    """The call that was disturbed, as strace wrote it down; "" where it never came to pass."""
    if not log.exists() or fault.evidence not in log.read_text(errors="replace"):
        return ""
    before: Counter[str] = Counter()
    for one in made(log):
        if one.call == fault.call:
            before[one.process] += 1
            if before[one.process] == fault.when:
                return one.line[:200]
    return ""


def first_process(calls: Sequence[Made]) -> list[Made]:
    """The calls of the process that made the first of them."""
    return [one for one in calls if one.process == calls[0].process]
