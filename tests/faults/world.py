"""A host with things of others on it, and what of it may and may not change."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.lab import Lab, Snapshot, diff_snapshots
from tests.lab.host import STATE, Host
from tests.lab.isolate import BPFFS
from tests.lab.processes import ends_within

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = os.environ.get("TPROXY_APPLY") or str(Path(sys.executable).with_name("tproxy-apply"))
PORTS = "intercept: {ports: [80]}\nbypass: {to: [10.0.0.0/8]}\n"
FIRST = "version: 1\ninterfaces: {wan0: {}}\nproxy: {port: 9040}\n"
SECOND = (
    "version: 1\ninterfaces: {wan0: {}}\nproxy: {tcp: {port: 9041}, udp: {port: 9041}}\n"
    "sysctls: {net.ipv4.ip_default_ttl: 65}\n" + PORTS
)
_BYTECODE = ("1,6_0_0_0", "1,6 0 0 0,")
# Somebody else's, beside what is ours.
BESIDE = (
    "ip rule add prio 500 fwmark 0x8/0x8 lookup 77",
    "ip rule add prio 1000 fwmark 0x8/0x8 lookup 100 proto 7",
    "ip route add 192.0.2.0/24 dev wan0 table 100",
    "tc qdisc add dev wan0 clsact",
    "tc filter add dev wan0 egress prio 20 handle 7 protocol all bpf da bytecode 1,6_0_0_0",
    "tc filter add dev wan0 ingress prio 30 handle 8 protocol all bpf da bytecode 1,6_0_0_0",
    "sysctl -qw net.ipv4.conf.wan0.rp_filter=2",
)
# Somebody else's, where ours should go.
IN_THE_WAY = ("ip route add unreachable default table 100 proto 7",)


class Ran(NamedTuple):
    """What one run of the installed command said, and its exit code."""

    code: int
    out: str
    err: str


@dataclass
class World:
    """A lab's HOST with foreign objects, and the two site files that scenarios go by."""

    host: Host
    first: str = FIRST
    second: str = SECOND

    def typed(self, *lines: str) -> None:
        """Type commands by hand."""
        for line in lines:
            self.host.namespace.run([word.replace(*_BYTECODE) for word in line.split()])

    def write(self, text: str) -> None:
        self.host.write(text)

    def look(self) -> Snapshot:
        """All that others see, and whether anything of ours is left where ours is kept."""
        seen = self.host.look()
        seen["state"] = [str(path) for path in (STATE, self.host.state) if path.exists()]
        return seen

    def run(self, *arguments: str, prefix: tuple[str, ...] = ()) -> Ran:
        """Run the installed command; a minute at most."""
        words = [*prefix, COMMAND, *arguments]
        done = self.host.namespace.run(words, check=False, timeout=90, cwd="/")
        return Ran(done.returncode, done.stdout, done.stderr)

    def succeed(self, *arguments: str) -> None:
        """Run in this process what must succeed."""
        done = self.host.run(*arguments)
        if done.code:
            raise AssertionError(f"{' '.join(arguments)}: exit {done.code}: {done.err}")

    def pend(self, *options: str) -> None:
        """Leave a change pending: whoever waits for its confirmation is killed."""
        child = os.fork()
        if child == 0:
            try:
                self.host.run(str(self.host.site), "--confirm", "600", *options)
            finally:
                os._exit(0)
        deadline = time.monotonic() + 30
        while not self.watchdog():
            if time.monotonic() > deadline:
                raise AssertionError("nothing awaits its confirmation")
            time.sleep(0.01)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

    def watchdog(self) -> int:
        """The process that will take a pending change back; 0 without one."""
        try:
            pid, begun = json.loads((self.host.state / "pending.json").read_text())["watchdog"]
        except (OSError, ValueError):
            return 0
        return int(pid) if begun else 0

    def settle(self) -> None:
        """Let a pending change go back, if there is one."""
        watchdog = self.watchdog()
        if watchdog:
            self.host.run("--rollback")
            ends_within(watchdog, 20)

    def wipe(self) -> list[str]:
        """Take away what is ours; what a destroy says that is not clean."""
        self.settle()
        done = self.host.run("--destroy")
        return [] if (done.code, done.err) == (0, "") else [f"exit {done.code}: {done.err}"]


@contextlib.contextmanager
def made(folder: Path, *more: str) -> Iterator[World]:
    """Build one, with ``more`` typed by others."""
    with Lab() as lab:
        world = World(Host(lab, folder))
        world.typed(*BESIDE, *more)
        BPFFS.joinpath("theirs").mkdir(exist_ok=True)
        yield world


def differing(expected: Snapshot, now: Snapshot) -> list[str]:
    """What differs, at most eight lines of it."""
    lines = diff_snapshots(expected, now)
    return lines[:8] + ([f"and {len(lines) - 8} more"] if len(lines) > 8 else [])
