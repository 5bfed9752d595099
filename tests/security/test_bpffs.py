"""A bpffs has mode 1777: what a local user may lay out in it before root comes."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netplan_tproxy.datapath.pins import Pins
from netplan_tproxy.kernel.bpf import maps
from netplan_tproxy.kernel.bpf.layout import ARRAY, MapSpec
from netplan_tproxy.system.owned import Owned
from tests.lab import diff_snapshots
from tests.lab.host import STATE, Host
from tests.lab.isolate import BPFFS
from tests.lab.patience import LONG
from tests.security.umasks import umask

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

NOBODY = 65534
OURS = BPFFS / "netplan-tproxy"


def as_nobody(*commands: str) -> None:
    for command in commands:
        subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", command],
            check=True,
            timeout=LONG,
        )


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder of root's, with files that no user can touch."""
    folder = tmp_path / "victim"
    folder.mkdir()
    (folder / "passwd").write_text("precious")
    (folder / "17").write_text("precious too")
    return folder


@pytest.fixture(autouse=True)
def lurking() -> Iterator[None]:
    """A bpffs as the kernel makes it; what nobody put there goes at the end."""
    assert stat.S_IMODE(BPFFS.stat().st_mode) == 0o1777
    yield
    shutil.rmtree(OURS, ignore_errors=True)
    if OURS.is_symlink():
        OURS.unlink()


def cookie(host: Host) -> str:
    return host.pins.name


def everything_is_refused(host: Host, place: Path) -> None:
    """No run touches anything, and each names the place."""
    for arguments in ([str(host.site)], ["--destroy"], [str(host.site), "--check"]):
        before = host.look()
        done = host.run(*arguments)
        assert done.code == 1, (arguments, done)
        assert f"{place}: " in done.err
        assert done.err.endswith("; nothing was touched\n")
        assert done.err.count("\n") == 1
        assert diff_snapshots(before, host.look()) == []
    assert not STATE.exists()


def test_a_link_in_place_of_a_folder_deletes_nothing(host: Host, victim: Path) -> None:
    as_nobody(f"mkdir -p {OURS}/{cookie(host)}", f"ln -s {victim} {OURS}/{cookie(host)}/adopted")
    everything_is_refused(host, OURS)
    assert sorted(path.name for path in victim.iterdir()) == ["17", "passwd"]


def test_a_link_in_place_of_our_directory_is_refused(host: Host, victim: Path) -> None:
    (victim / cookie(host) / "adopted").mkdir(parents=True)
    (victim / cookie(host) / "adopted" / "file").write_text("precious")
    as_nobody(f"ln -s {victim} {OURS}")
    everything_is_refused(host, OURS)
    assert (victim / cookie(host) / "adopted" / "file").exists()


def test_a_file_in_place_of_our_directory_is_refused(host: Host) -> None:
    with maps.create_map(MapSpec("lurker", ARRAY, 4, 4, 1)) as fd:
        maps.pin(fd, str(OURS))
    os.chown(OURS, NOBODY, NOBODY)
    try:
        everything_is_refused(host, OURS)
    finally:
        OURS.unlink()


@pytest.mark.parametrize("level", ["", "maps", "programs", "sets", "adopted"])
def test_what_a_user_owns_is_refused_at_any_level(host: Host, level: str) -> None:
    # As left behind by a version that took the umask for the mode: writable by others, once.
    ours = host.pins / level
    ours.mkdir(parents=True)
    os.chown(ours, NOBODY, NOBODY)
    everything_is_refused(host, ours)


@pytest.mark.parametrize("level", ["", "maps", "programs", "sets", "adopted"])
def test_what_others_may_write_to_is_refused_at_any_level(host: Host, level: str) -> None:
    ours = host.pins / level
    ours.mkdir(parents=True)
    ours.chmod(0o777)
    everything_is_refused(host, ours)
    ours.chmod(0o755)
    host.applied()


def test_a_pin_of_somebody_elses_is_refused(host: Host) -> None:
    host.applied()
    pin = host.pin("maps", "config")
    os.chown(pin, NOBODY, NOBODY)
    done = host.run("--destroy")
    assert (done.code, f"{pin}: belongs to uid {NOBODY}" in done.err) == (1, True)
    os.chown(pin, 0, 0)
    host.destroyed()


def test_a_bpffs_in_which_others_may_rename_what_is_ours_is_refused(host: Host) -> None:
    BPFFS.chmod(0o777)
    try:
        everything_is_refused(host, BPFFS)
    finally:
        BPFFS.chmod(0o1777)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_our_directories_are_private_whatever_the_umask(host: Host, mask: int) -> None:
    with umask(mask):
        host.applied()
    levels = [OURS, host.pins, *(path for path in host.pins.iterdir() if path.is_dir())]
    assert len(levels) > 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in levels} == {0o700}
    assert {path.stat().st_uid for path in levels} == {0}
    files = [path for path in host.pins.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in files} == {0}


def test_a_user_can_neither_rename_nor_remove_what_root_has_put_there(host: Host) -> None:
    host.applied()
    before = host.look()
    for command in (f"mv {OURS} {BPFFS}/gone", f"rmdir {OURS}", f"mkdir {OURS}/more"):
        with pytest.raises(subprocess.CalledProcessError):
            as_nobody(f"{command} 2>/dev/null")
    assert diff_snapshots(before, host.look()) == []
    host.destroyed()


def test_a_link_that_comes_in_the_middle_of_a_run_is_not_followed(
    host: Host, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory that was looked at is the one that is written to, whatever its name is."""
    moved = BPFFS / "moved"
    unlink: Callable[[Owned, str], None] = Owned.unlink
    names: list[str] = []

    def first_move(self: Owned, name: str) -> None:
        if not names and name.isdecimal():
            OURS.rename(moved)
            OURS.symlink_to(victim)
        names.append(name)
        unlink(self, name)

    host.applied()
    (victim / cookie(host) / "adopted").mkdir(parents=True)
    (victim / cookie(host) / "adopted" / "17").write_text("precious")
    folder = host.pins / "adopted"
    folder.mkdir(mode=0o700)
    with monkeypatch.context() as patch:
        patch.setattr(Owned, "unlink", first_move)
        with host.namespace.entered():
            Pins().remove("adopted", "17")
    assert names == ["17", "17~"]
    assert (victim / cookie(host) / "adopted" / "17").exists()
    OURS.unlink()
    moved.rename(OURS)
    host.destroyed()


def test_the_doctor_says_so(host: Host) -> None:
    assert "look who put it there" not in "\n".join(host.run("--doctor").out)
    as_nobody(f"mkdir {OURS}")
    said = " ".join(" ".join(host.run("--doctor").out).split())
    assert f"{OURS}: belongs to uid {NOBODY}" in said
