"""Scenes that change mounts, each played in a process with mounts and pids of its own.

``python -m tests.transactions.scenes NAME``; one that fails ends with a traceback.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from netplan_tproxy.kernel.bpf import bpffs
from tests.lab import Lab, diff_snapshots, isolate, syscalls
from tests.lab.host import CHANGES, STATE, Host, Run
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

MOUNT = str(isolate.BPFFS)


def expect(actual: object, expected: object) -> None:
    if actual != expected:
        raise AssertionError(f"{actual!r} is not {expected!r}")


@contextmanager
def stage() -> Iterator[Host]:
    with Lab() as lab, tempfile.TemporaryDirectory() as folder:
        host = Host(lab, Path(folder))
        before = host.look()
        yield host
        expect(diff_snapshots(before, host.look()), [])
        expect(STATE.exists(), expected=False)


def without_bpffs() -> None:
    while bpffs.is_bpffs(MOUNT):
        syscalls.umount(MOUNT)


def no_bpffs() -> None:
    without_bpffs()
    with stage() as host:
        expect("+ bpffs /sys/fs/bpf" in host.applied().changes, expected=True)
        expect(bpffs.is_bpffs(MOUNT), expected=True)
        expect(host.applied().out, ["no changes"])
        expect("- bpffs /sys/fs/bpf" in host.destroyed().changes, expected=True)
        expect(bpffs.is_bpffs(MOUNT), expected=False)


def no_bpffs_and_a_failure() -> None:
    without_bpffs()
    with stage() as host:
        host.write(host.site.read_text() + "sysctls: {net.ipv4.ip_default_ttl: 999}\n")
        expect(host.apply().code, 3)
        expect(bpffs.is_bpffs(MOUNT), expected=False)


def bpffs_that_others_use_too() -> None:
    without_bpffs()
    kept = "= bpffs /sys/fs/bpf: left as it is: holds pins of others"
    with stage() as host:
        host.applied()
        (isolate.BPFFS / "theirs").mkdir()
        expect(kept in host.destroyed().out, expected=True)
        (isolate.BPFFS / "theirs").rmdir()
        syscalls.umount(MOUNT)
    with stage() as host, stage() as other:
        host.applied()
        other.applied()
        expect(kept in host.destroyed().out, expected=True)
        expect(other.applied().out, ["no changes"])
        other.destroyed()
        syscalls.umount(MOUNT)


def from_inside(host: Host, *arguments: str) -> list[str]:
    """A run the way of `ip netns exec`, which puts a new /sys over the one with the bpffs."""
    prefix = ("ip", "netns", "exec", host.namespace.name)
    done = host.spawn(*arguments, prefix=prefix)
    expect((done.code, done.err), (0, ""))
    return done.out


def from_outside(host: Host, *arguments: str) -> list[str]:
    """A run the way of `nsenter --net`, which leaves the mounts alone."""
    prefix = ("nsenter", f"--net={host.namespace.path}")
    done = host.spawn(*arguments, prefix=prefix)
    expect((done.code, done.err), (0, ""))
    return done.out


def changes(lines: list[str]) -> int:
    return Run(0, lines, "").total


def ip_netns_exec() -> None:
    for first, second in ((from_inside, from_outside), (from_outside, from_inside)):
        with stage() as host:
            expect(changes(first(host, str(host.site))), CHANGES)
            expect(second(host, str(host.site)), ["no changes"])
            expect(first(host, str(host.site)), ["no changes"])
            expect(changes(second(host, "--destroy")), CHANGES)


def ip_netns_exec_without_bpffs() -> None:
    without_bpffs()
    for first, second in ((from_inside, from_outside), (from_outside, from_inside)):
        with stage() as host:
            expect("+ bpffs /sys/fs/bpf" in first(host, str(host.site)), expected=True)
            expect(bpffs.is_bpffs(MOUNT), expected=True)
            expect(second(host, str(host.site)), ["no changes"])
            second(host, "--destroy")
            expect(bpffs.is_bpffs(MOUNT), expected=False)


SCENES: dict[str, Callable[[], None]] = {
    scene.__name__: scene
    for scene in (
        no_bpffs,
        no_bpffs_and_a_failure,
        bpffs_that_others_use_too,
        ip_netns_exec,
        ip_netns_exec_without_bpffs,
    )
}


if __name__ == "__main__":
    expect(Path.cwd(), ROOT)
    isolate.start_over()
    SCENES[sys.argv[1]]()
