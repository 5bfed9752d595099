"""Two site files, or two state directories, over one network namespace."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.lab import diff_snapshots
from tests.lab.host import SITE, STATE, Host, unchanged

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

A, B = f"site: a\n{SITE}", f"site: b\n{SITE.replace('9040', '9041')}"


def test_another_site_is_refused_by_name_and_takes_the_place_when_it_is_meant(host: Host) -> None:
    before = host.look()
    host.write(A)
    host.applied()
    host.write(B)
    for options in ((), ("--dry-run",), ("--check",)):
        with unchanged(host.stare):
            done = host.apply(*options)
        assert done.code == 6
        assert f"site 'a' of {host.site} is set up here" in done.err
        assert "with --replace; nothing was touched" in done.err
    assert host.apply("--replace").code == 0
    assert host.applied().out == ["no changes"]
    host.destroyed()
    assert diff_snapshots(before, host.look()) == []


def test_a_file_that_says_no_name_goes_on_where_such_a_file_was(host: Host) -> None:
    host.applied()
    host.write(SITE.replace("9040", "9041"))
    assert host.apply().code == 0


@pytest.mark.parametrize("first", ["default", "other"])
def test_what_another_state_directory_has_on_record_is_not_touched(
    host: Host, tmp_path: Path, first: str
) -> None:
    before = host.look()
    elsewhere = ("--state-dir", str(tmp_path / "state"))
    one, two = ((), elsewhere) if first == "default" else (elsewhere, ())
    assert host.apply(*one).code == 0
    root = str(STATE) if first == "default" else str(tmp_path / "state")
    for arguments in ([str(host.site)], [str(host.site), "--dry-run"], ["--destroy"]):
        with unchanged(host.look):
            done = host.run(*arguments, *two)
        assert done.code == 6
        assert f"say --state-dir {root}; nothing was touched" in done.err
    assert host.run("--destroy", *one).code == 0
    assert diff_snapshots(before, host.look()) == []
    assert host.apply(*two).code == 0
    assert host.run("--destroy", *two).code == 0
    assert diff_snapshots(before, host.look()) == []
    assert not STATE.exists()


def test_a_state_directory_that_is_gone_owns_nothing(host: Host, tmp_path: Path) -> None:
    assert host.apply("--state-dir", str(tmp_path / "state")).code == 0
    shutil.rmtree(tmp_path / "state")
    assert host.apply().code == 0
    assert host.run("--destroy").code == 0
