"""A look at the kernel that fails says nothing: only ENOENT is absence."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from netplan_tproxy.datapath.attach import cgroup as attached_cgroup
from netplan_tproxy.datapath.pins import Pins
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.bpf import libbpf
from netplan_tproxy.kernel.host import users_cgroups
from tests.lab import diff_snapshots
from tests.lab.cgroups import cgroup, directory
from tests.lab.host import SITE, STATE, Host

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

OTHER = SITE.replace("9040", "9041") + "bypass: {to: [10.0.0.0/8]}\n"


class Failing:
    """libbpf whose call number ``at`` (from 1) fails, as the kernel makes it fail; 0: none."""

    def __init__(self, at: int, code: int) -> None:
        self._library = libbpf.library()
        self._at = at
        self._code = code
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._library, name)
        if not name.startswith("bpf_"):
            return function

        def counted(*arguments: Any) -> int:
            self.calls += 1
            if self.calls == self._at:
                ctypes.set_errno(self._code)
                return -self._code
            return int(function(*arguments))

        return counted


def undisturbed(host: Host, *words: str) -> int:
    """How many calls a run makes."""
    with pytest.MonkeyPatch.context() as patch:
        failing = Failing(0, 0)
        patch.setattr(libbpf, "library", lambda: failing)
        assert host.run(*words).code == 0
    return failing.calls


def disturbed(host: Host, at: int, code: int, *words: str) -> tuple[int, str]:
    with pytest.MonkeyPatch.context() as patch:
        failing = Failing(at, code)
        patch.setattr(libbpf, "library", lambda: failing)
        done = host.run(*words)
    return done.code, done.err


@pytest.mark.parametrize("code", [errno.ENOMEM, errno.EPERM])
def test_a_run_with_nothing_to_do_does_nothing_whatever_it_could_not_read(
    host: Host, code: int
) -> None:
    host.applied()
    words = [str(host.site)]
    before = host.stare()
    for at in range(1, undisturbed(host, *words) + 1):
        ended, complaint = disturbed(host, at, code, *words)
        assert ended == 1, f"call {at}: exit {ended}"
        assert complaint.endswith("; nothing was touched\n")
        assert complaint.count("\n") == 1
        assert diff_snapshots(before, host.stare()) == [], f"call {at}"


@pytest.mark.parametrize("code", [errno.ENOMEM, errno.EPERM])
def test_a_destroy_that_could_not_read_something_forgets_nothing(host: Host, code: int) -> None:
    bare = host.look()
    host.applied()
    applied = host.look()
    calls = undisturbed(host, "--destroy")
    for at in range(1, calls + 1):
        host.applied()
        ended, _ = disturbed(host, at, code, "--destroy")
        assert ended in {0, 1, 3, 4}, f"call {at}: exit {ended}"
        if ended in {1, 3}:
            assert diff_snapshots(applied, host.look()) == [], f"call {at}"
            continue
        if ended == 4:  # what is left is named, and the next run mends it
            host.destroyed()
        assert diff_snapshots(bare, host.look()) == [], f"call {at}"
        assert not STATE.exists()


def test_a_change_of_the_file_that_could_not_read_something_is_all_or_nothing(host: Host) -> None:
    host.applied()
    before = host.look()
    host.write(OTHER)
    calls = undisturbed(host, str(host.site))
    after = host.look()
    for at in range(1, calls + 1, 3):
        host.write(SITE)
        host.applied()
        host.write(OTHER)
        ended, _ = disturbed(host, at, errno.ENOMEM, str(host.site))
        assert ended in {0, 1, 3, 4}, f"call {at}: exit {ended}"
        if ended != 4:
            now = host.look()
            assert diff_snapshots(after if ended == 0 else before, now) == [], f"call {at}"


def failing_stat(path: Path, code: int) -> Callable[..., os.stat_result]:
    real = os.stat

    def stat(name: Any, *more: Any, **options: Any) -> os.stat_result:
        if os.fspath(name) == str(path):
            raise OSError(code, os.strerror(code), str(path))
        return real(name, *more, **options)

    return stat


def test_a_cgroup_that_cannot_be_looked_at_is_not_taken_for_one_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with cgroup() as name:
        assert users_cgroups.resolve_cgroups([name, "/no/such"]).keys() == {name}
        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", failing_stat(directory(name), errno.EIO))
            with pytest.raises(KernelError):
                users_cgroups.resolve_cgroups([name])
            with pytest.raises(KernelError):
                users_cgroups.cgroup_ids(name)


def test_cgroups_that_cannot_be_listed_are_not_taken_for_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(KernelError, match="read cgroups: Cannot allocate memory"):
        attached_cgroup._all_cgroups()


def test_a_bpffs_that_cannot_be_looked_at_is_not_taken_for_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Libc:
        @staticmethod
        def statfs(_path: bytes, _buffer: object) -> int:
            ctypes.set_errno(errno.EIO)
            return -1

    assert Pins().mounted() == "/sys/fs/bpf"
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: Libc)
    with pytest.raises(KernelError, match="Input/output error"):
        Pins().mounted()
