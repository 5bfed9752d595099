"""Pins and state files are made under another name and renamed: nothing stays under that."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.system.owned import Owned
from tests.lab import budget, diff_snapshots
from tests.lab.host import STATE, Host
from tests.lab.sabotage import die, in_a_child_that_dies

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

SITE = "version: 1\ninterfaces: {wan0: {}}\nproxy: {port: 9040}\nbypass: {to: [10.0.0.0/8]}\n"


def at_rename(patch: pytest.MonkeyPatch, at: int, strike: Callable[[], None]) -> list[str]:
    """Let ``strike`` happen instead of rename number ``at``; gives the names renamed so far."""
    real = Owned.rename
    seen: list[str] = []

    def rename(self: Owned, old: str, new: str) -> None:
        seen.append(new)
        if len(seen) == at:
            strike()
        real(self, old, new)

    patch.setattr(Owned, "rename", rename)
    return seen


def refuse() -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def and_the_first_removal_after(patch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Refuse, and refuse to remove the other name once too."""
    real = Owned.unlink
    refused: list[str] = []

    def strike() -> None:
        def unlink(self: Owned, name: str) -> None:
            if name.endswith("~") and not refused:
                refused.append(name)
                refuse()
            real(self, name)

        patch.setattr(Owned, "unlink", unlink)
        refuse()

    return strike


@pytest.fixture
def renames(host: Host) -> int:
    """How many pins an apply makes."""
    host.write(SITE)
    with pytest.MonkeyPatch.context() as patch:
        seen = at_rename(patch, 0, refuse)
        host.applied()
    host.destroyed()
    return len(seen)


def test_a_rename_that_fails_leaves_no_other_name(host: Host, renames: int) -> None:
    before = host.look()
    for at in budget.some(range(1, renames + 1), 8):
        with pytest.MonkeyPatch.context() as patch:
            at_rename(patch, at, and_the_first_removal_after(patch))
            assert host.apply().code == 3
        assert diff_snapshots(before, host.look()) == [], f"rename {at}"


@pytest.mark.parametrize("following", ["apply", "destroy"])
def test_killed_before_the_rename_the_next_run_leaves_none(
    host: Host, renames: int, following: str
) -> None:
    before = host.look()
    host.applied()
    applied = host.look()
    host.destroyed()
    for at in budget.some(range(1, renames + 1), 8):
        with pytest.MonkeyPatch.context() as patch:

            def run(patch: pytest.MonkeyPatch = patch, at: int = at) -> None:
                at_rename(patch, at, die)
                host.applied()

            in_a_child_that_dies(run)
        if following == "apply":
            host.applied()
            assert diff_snapshots(applied, host.look()) == [], f"rename {at}"
        host.destroyed()
        assert diff_snapshots(before, host.look()) == [], f"rename {at}"


@pytest.mark.parametrize("folder", ["maps", "programs", "sets"])
def test_killed_before_a_folder_is_removed_the_next_run_removes_it(host: Host, folder: str) -> None:
    before = host.look()
    host.write(SITE)
    host.applied()
    with pytest.MonkeyPatch.context() as patch:
        real = Owned.rmdir

        def rmdir(self: Owned, name: str) -> bool:
            if name == folder and not any((self.path / name).iterdir()):
                die()
            return real(self, name)

        def run() -> None:
            patch.setattr(Owned, "rmdir", rmdir)
            host.destroyed()

        in_a_child_that_dies(run)
    host.destroyed()
    assert diff_snapshots(before, host.look()) == []


def at_replace(patch: pytest.MonkeyPatch, strike: Callable[[], None]) -> None:
    """Let ``strike`` happen instead of the renaming of a state file."""
    patch.setattr(Path, "rename", lambda *_: strike())


def test_a_state_file_that_cannot_be_renamed_leaves_nothing(host: Host) -> None:
    with pytest.MonkeyPatch.context() as patch:
        at_replace(patch, refuse)
        done = host.apply()
    assert (done.code, "everything was put back" in done.err) == (3, True)
    assert not STATE.exists()


@pytest.mark.parametrize("options", [(), ("--confirm", "600")])
def test_killed_before_a_state_file_is_renamed_the_next_run_leaves_nothing(
    host: Host, options: tuple[str, ...]
) -> None:
    with pytest.MonkeyPatch.context() as patch:

        def run() -> None:
            at_replace(patch, die)
            host.apply(*options)

        in_a_child_that_dies(run)
    host.destroyed()
    assert not STATE.exists()
