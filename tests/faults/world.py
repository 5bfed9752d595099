"""A host with things of others on it, and what of it may and may not change."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.faults.record import on_record
from tests.lab import Lab, Snapshot, diff_snapshots
from tests.lab.foreign import put_other_program
from tests.lab.host import Host
from tests.lab.isolate import BPFFS
from tests.lab.processes import ends_within

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COMMAND = os.environ.get("TPROXY_APPLY") or str(Path(sys.executable).with_name("tproxy-apply"))
PORTS = "intercept: {ports: [80]}\nbypass: {to: [10.0.0.0/8]}\n"
FIRST = "version: 1\ninterfaces: {wan0: {}}\nproxy: {port: 9040}\n"
SECOND = (
    "version: 1\ninterfaces: {wan0: {}}\nproxy: {tcp: {port: 9041}, udp: {port: 9041}}\n"
    "sysctls: {net.ipv4.ip_default_ttl: 65}\n" + PORTS
)
_NOTHING_PENDING = 7  # by the time that it is asked
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
    """A lab's HOST with foreign objects, and the two site files that scenarios go by.

    ``looks`` is what it looks like when nothing of ours is there ("bare"), and when the first
    file is applied; it is said to be ``standing`` so only if it has been looked at.
    """

    host: Host
    first: str = FIRST
    second: str = SECOND
    adopt: tuple[str, ...] = ()
    standing: str = "bare"
    looks: dict[str, Snapshot] = field(default_factory=dict)

    def begin(self) -> None:
        """See what it looks like, without and with the first file applied."""
        self.looks["bare"] = self.look_closely()
        self.bring("applied")
        self.looks["applied"] = self.look_closely()

    def typed(self, *lines: str) -> None:
        """Type commands by hand."""
        for line in lines:
            self.host.namespace.run([word.replace(*_BYTECODE) for word in line.split()])

    def write(self, text: str) -> None:
        self.host.write(text)

    def look(self) -> Snapshot:
        """All that others see, and what is on record of ours."""
        seen = self.host.look()
        # Another world has pins of its own.
        ours = {"theirs", self.host.state.name}
        seen["bpffs"] = [line for line in seen["bpffs"] if line.split("/")[:2][-1] in ours]
        return seen | on_record(self.host.state)

    def look_closely(self) -> Snapshot:
        """The same, and which files there are, which may say nothing."""
        state = self.host.state
        files = [state, *state.iterdir()] if state.exists() else []
        return {**self.look(), "files": sorted(map(str, files))}

    def run(self, words: Sequence[str], prefix: Sequence[str] = ()) -> Ran:
        """Run the installed command; a minute and a half at most."""
        # The modules are compiled; what is not must not be written down by a disturbed run.
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        words = [*prefix, *words]
        done = self.host.namespace.run(words, check=False, timeout=90, cwd="/", env=environment)
        return Ran(done.returncode, done.stdout, done.stderr)

    def succeed(self, *arguments: str) -> None:
        """Run in this process what must succeed."""
        done = self.host.run(*arguments)
        good = done.is_as_the_file_says if "--check" in arguments else done.code == 0
        if not good or done.err:
            raise AssertionError(f"{' '.join(arguments)}: exit {done.code}: {done.err}")

    def bring(self, start: str) -> None:
        """Bring it to where a scenario starts. What is left of ours before that is an error."""
        if start == self.standing != "pending":
            return
        if self.standing != "bare":
            self.back()
        self.write(self.first)
        self.standing = "unknown"
        if start == "applied":
            self.apply()
        elif start == "pending":
            self.pend()
        self.standing = start

    def apply(self) -> None:
        """Apply the first file, by the end of which nothing is left to do."""
        self.settle()
        self.write(self.first)
        self.succeed(str(self.host.site), *self.adopt)
        self.succeed(str(self.host.site), "--check", *self.adopt)
        self._stands("applied")

    def back(self) -> None:
        """Take away what is ours, of which nothing is left then."""
        self.settle()
        self.succeed("--destroy")
        self._stands("bare")

    def _stands(self, state: str) -> None:
        self.standing = "unknown"
        now = self.look_closely()
        left = differing(self.looks.get(state, now), now)
        if left:
            raise AssertionError(f"not as it was when {state}: {'; '.join(left)}")
        self.standing = state

    def pend(self) -> None:
        """Leave a change pending: whoever waits for its confirmation is killed."""
        child = os.fork()
        if child == 0:
            try:
                self.host.run(str(self.host.site), "--confirm", "600", *self.adopt)
            finally:
                os._exit(0)
        deadline = time.monotonic() + 30
        while not self.watchdog():
            if time.monotonic() > deadline:
                raise AssertionError("nothing is waiting for confirmation")
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

    def gone(self) -> None:
        """Wait until what goes back has gone."""
        watchdog = self.watchdog()
        if watchdog:
            ends_within(watchdog, 20)

    def settle(self) -> None:
        """Let a pending change go back, if there is one."""
        watchdog = self.watchdog()
        if watchdog:
            done = self.host.run("--rollback")
            if done.code not in {0, _NOTHING_PENDING} or not ends_within(watchdog, 20):
                raise AssertionError(f"--rollback: exit {done.code}: {done.err}")


@contextlib.contextmanager
def made(
    folder: Path,
    *more: str,
    files: tuple[str, str] = (FIRST, SECOND),
    wans: int = 1,
    adopt: bool = False,
) -> Iterator[World]:
    """Build one, with ``more`` typed by others; more than one uplink: of both families.

    ``adopt``: somebody's program is where ours should go too, and is taken over.
    """
    with Lab(wans=wans, ipv6=wans > 1) as lab:
        world = World(Host(lab, folder), *files, adopt=("--adopt",) * adopt)
        world.typed(*more)
        if adopt:
            put_other_program(world.host, "theirs")
        BPFFS.joinpath("theirs").mkdir(exist_ok=True)
        world.begin()
        yield world


def differing(expected: Snapshot, now: Snapshot) -> list[str]:
    """What differs, at most eight lines of it."""
    lines = diff_snapshots(expected, now)
    return lines[:8] + ([f"and {len(lines) - 8} more"] if len(lines) > 8 else [])
