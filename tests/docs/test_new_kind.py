"""The kind that CONTRIBUTING.md shows works as it stands there, in a copy of the package."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import blocks
from tests.lab import Lab, diff_snapshots, snapshot
from tests.lab.patience import LONG
from tests.paths import ROOT

PAGE = ROOT / "CONTRIBUTING.md"
_COPIED = ("netplan_tproxy", "bpf", "schemas")
_SITE = "version: 1\ninterfaces: {wan0: {}}\nproxy: {port: 9040}\n"


def example() -> tuple[str, str]:
    """The path that the first line of the page's Python block names, and the block's rest."""
    ((_, body),) = blocks("python", PAGE.read_text())
    first, _, code = body.partition("\n")
    return first.removeprefix("# "), code


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what runs, with the new kind in it; a site file beside it."""
    for name in _COPIED:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    path, code = example()
    assert not (tmp_path / path).exists()
    (tmp_path / path).write_text(code)
    (tmp_path / "site.yaml").write_text(_SITE)
    return tmp_path


def run(lab: Lab, tree: Path, *arguments: str, code: int = 0) -> list[str]:
    words = [sys.executable, "-m", "netplan_tproxy", *arguments]
    done = lab.host.run(words, check=False, cwd=tree, timeout=LONG)
    assert (done.returncode, done.stderr) == (code, "")
    return done.stdout.splitlines()


def length(lab: Lab) -> int:
    (link,) = json.loads(lab.host.run(["ip", "-j", "link", "show", "wan0"]).stdout)
    return int(link["txqlen"])


@pytest.mark.lab
@pytest.mark.bpf
def test_it_is_applied_repaired_and_taken_away_like_any_other(lab: Lab, tree: Path) -> None:
    lab.host.run(["ip", "link", "set", "wan0", "txqueuelen", "500"])
    before = snapshot(lab.host)
    assert "~ queue of wan0: 500 packets → 2000 packets" in run(lab, tree, "site.yaml")
    assert length(lab) == 2000
    assert run(lab, tree, "site.yaml") == ["no changes"]
    lab.host.run(["ip", "link", "set", "wan0", "txqueuelen", "77"])
    assert "~ queue of wan0: 77 packets → 2000 packets" in run(
        lab, tree, "--check", "site.yaml", code=2
    )
    run(lab, tree, "site.yaml")
    assert length(lab) == 2000
    assert "~ queue of wan0: 2000 packets → 500 packets" in run(lab, tree, "--destroy")
    assert length(lab) == 500
    assert diff_snapshots(before, snapshot(lab.host)) == []


@pytest.mark.lab
@pytest.mark.bpf
def test_a_step_that_fails_after_it_undoes_it_too(lab: Lab, tree: Path) -> None:
    lab.host.run(["ip", "link", "set", "wan0", "txqueuelen", "500"])
    before = snapshot(lab.host)
    probe = "ip link show wan0 | grep -q 'qlen 500'"  # right before the change, wrong after it
    words = [sys.executable, "-m", "netplan_tproxy", "--probe", probe, "site.yaml"]
    done = lab.host.run(words, check=False, cwd=tree, timeout=LONG)
    assert done.returncode == 3
    assert "everything was put back" in done.stderr
    assert length(lab) == 500
    assert diff_snapshots(before, snapshot(lab.host)) == []


def test_it_is_written_as_the_rest_is() -> None:
    path, code = example()
    for words in (["check", "--quiet"], ["format", "--check", "--quiet"]):
        command = [f"{Path(sys.executable).parent}/ruff", *words, f"--stdin-filename={path}", "-"]
        done = subprocess.run(
            command, input=code, text=True, capture_output=True, cwd=ROOT, check=False, timeout=30
        )
        assert done.returncode == 0, done.stdout + done.stderr
