"""What the kernel itself refuses half-way, and a namespace that goes."""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.datapath.layouts import SET, SETS
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from tests.lab import Lab, diff_snapshots, syscalls
from tests.lab.host import CHANGES, SITE, STATE, Host
from tests.lab.sabotage import sabotaged

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

POLICY = SITE + "bypass: {to: [10.0.0.0/8]}\n"
_RDONLY, _REMOUNT = 1, 32
_CAP_NET_ADMIN = 12


def test_a_map_that_is_full_by_then_is_undone(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.applied()
    before = host.look()

    def fill() -> None:
        with bpf_maps.open_pinned(str(host.pins / "maps" / SETS.pin)) as outer:
            with bpf_maps.create_map(SET) as inner:
                for number in range(1, SETS.max_entries + 1):
                    key = struct.pack("=Q", number)
                    bpf_maps.update(outer, key, struct.pack("=I", int(inner)))

    host.write(POLICY)
    with sabotaged(monkeypatch, fill, 0):
        done = host.apply()
    assert done.code == 3
    assert "Argument list too long" in done.err  # E2BIG is what a full hash says
    host.write(SITE)
    host.applied()  # whatever stands in our maps is ours: the fillers go
    assert diff_snapshots(before, host.look()) == []


def test_a_sysctl_that_may_not_be_written_by_then_is_undone(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = "/proc/sys/net/ipv4/ip_default_ttl"

    def protect() -> None:
        syscalls.mount(target, target, flags=syscalls.MS_BIND)
        syscalls.mount("none", target, flags=syscalls.MS_BIND | _REMOUNT | _RDONLY)

    host.write(SITE + "sysctls: {net.ipv4.ip_default_ttl: 33}\n")
    before = host.look()
    try:
        with sabotaged(monkeypatch, protect, 1):
            done = host.apply()
    finally:
        with host.namespace.entered():  # each namespace has its own /proc/sys/net
            syscalls.umount(target)
    assert (done.code, STATE.exists()) == (3, False)
    assert "ip_default_ttl" in done.err
    assert "Read-only file system; everything was put back" in done.err
    assert diff_snapshots(before, host.look()) == []


@pytest.mark.parametrize("step", [0, 3, CHANGES // 2, CHANGES - 1])
def test_rights_lost_half_way_are_named_with_what_is_left(
    host: Host, monkeypatch: pytest.MonkeyPatch, step: int, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    before = host.look()
    child = os.fork()
    if child == 0:
        try:
            with sabotaged(monkeypatch, drop_net_admin, step):
                done = host.apply()
            said.write_text(f"{done.code} {done.err}")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    code, _, complaint = said.read_text().partition(" ")
    assert code == ("4" if step else "3")
    if step:
        assert "could not put back: " in complaint
        assert "- route default table 100" in complaint
        assert "- rule 1000" in complaint
    host.applied()
    assert host.applied().out == ["no changes"]
    host.destroyed()
    assert diff_snapshots(before, host.look()) == []


def drop_net_admin() -> None:
    # capset(2), version 3; the sets' two words: effective, permitted, inheritable.
    header, given = struct.pack("=Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.capget(header, given) == 0
    words = list(struct.unpack("=6I", given))
    for index in (0, 1):
        words[index] &= ~(1 << _CAP_NET_ADMIN)
    assert libc.capset(header, struct.pack("=6I", *words)) == 0


def test_a_namespace_that_goes_without_destroy_is_not_taken_for_another(
    host: Host, tmp_path: Path
) -> None:
    host.applied()
    with Lab() as lost:
        other = Host(lost, tmp_path)
        other.applied()
        state, pins = other.state, other.pins
        lost.close(tidy=False)
    with Lab() as lab:
        fresh = Host(lab, tmp_path)
        before = fresh.look()
        assert fresh.destroyed().out == ["no changes"]
        assert fresh.applied().total == CHANGES
        fresh.destroyed()
        assert diff_snapshots(before, fresh.look()) == []
    assert host.applied().out == ["no changes"]
    # Nobody can run in it any more: what is on record for it goes by hand.
    shutil.rmtree(state)
    shutil.rmtree(pins)
