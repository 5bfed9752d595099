"""Paths that root follows: who else could change where they lead."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from netplan_tproxy.errors import TproxyError
from netplan_tproxy.system.files import write_new_file
from netplan_tproxy.system.owned import hazard_above
from netplan_tproxy.systemd import service
from tests.lab.host import Host, unchanged
from tests.security.umasks import umask

USER = 65534


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's directory."""
    made = tmp_path / "home"
    made.mkdir()
    os.chown(made, USER, USER)
    return made


@pytest.mark.lab
@pytest.mark.bpf
def test_a_state_directory_in_a_users_directory_is_refused(host: Host, home: Path) -> None:
    place = home / "state"
    for option in ("--check", "--lock-timeout=1"):
        with unchanged(host.look):
            done = host.apply("--state-dir", str(place), option)
        message = f"{home}: belongs to uid {USER}, who may replace what is in it"
        expected = f"tproxy-apply: state directory {place}: {message}; nothing was touched\n"
        assert (done.code, done.err) == (1, expected)
    assert list(home.iterdir()) == []


@pytest.mark.lab
@pytest.mark.bpf
def test_a_state_directory_behind_a_users_link_is_refused(
    host: Host, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "roots").mkdir()
    link = home / "link"
    link.symlink_to(tmp_path / "roots")
    with unchanged(host.look):
        done = host.apply("--state-dir", str(link / "state"))
    assert (done.code, f"{home}: belongs to uid {USER}" in done.err) == (1, True)
    assert list((tmp_path / "roots").iterdir()) == []


@pytest.mark.lab
@pytest.mark.bpf
def test_a_state_directory_in_a_sticky_one_is_fine(host: Host, tmp_path: Path) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    assert host.apply("--state-dir", str(shared / "state")).code == 0
    assert host.run("--destroy", "--state-dir", str(shared / "state")).code == 0
    assert list(shared.iterdir()) == []


@pytest.mark.lab
@pytest.mark.parametrize(
    ("mode", "owner", "safe"),
    [
        (0o755, 0, True), (0o700, 0, True), (0o1777, 0, True), (0o1775, 0, True),
        (0o777, 0, False), (0o775, 0, False), (0o755, USER, False), (0o1777, USER, False),
    ],
)  # fmt: skip
def test_who_may_replace_what_is_in_a_directory(
    tmp_path: Path, mode: int, owner: int, *, safe: bool
) -> None:
    level = tmp_path / "level"
    (level / "below").mkdir(parents=True)
    os.chown(level, owner, owner)
    level.chmod(mode)
    hazard = hazard_above(level / "below" / "file")
    assert (hazard == "") is safe
    assert safe or hazard.startswith(f"{level}: ")


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_units_and_the_directories_above_them_are_roots_to_write_alone(
    tmp_path: Path, mask: int
) -> None:
    with umask(mask):
        service.install(str(tmp_path / "root"))
    made = [tmp_path / "root", *(tmp_path / "root").rglob("*")]
    modes = {stat.S_IMODE(path.stat().st_mode) for path in made if path.is_dir()}
    assert modes == {0o755}
    modes = {stat.S_IMODE(path.stat().st_mode) for path in made if path.is_file()}
    assert modes == {0o644}


def test_a_file_is_never_anybodys_to_write_not_even_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def fchmod(fd: int, mode: int) -> None:
        begun.append(stat.S_IMODE(os.fstat(fd).st_mode))
        os.chmod(fd, mode)

    monkeypatch.setattr(os, "fchmod", fchmod)
    with umask(0):
        write_new_file(tmp_path / "unit", "text", 0o644)
    assert begun == [0o644]
    with pytest.raises(FileExistsError):
        write_new_file(tmp_path / "unit", "text", 0o644)


@pytest.mark.lab
def test_units_in_a_users_directory_are_refused(home: Path) -> None:
    with pytest.raises(TproxyError, match=f"{home}: belongs to uid {USER}"):
        service.install(str(home / "root"))
    assert list(home.iterdir()) == []
