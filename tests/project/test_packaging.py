from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling.build import build_wheel

from tests.lab.patience import LONG
from tests.paths import ROOT


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    ignored = shutil.ignore_patterns(".venv", ".git", ".*_cache", "__pycache__", "build")
    shutil.copytree(ROOT, tree, ignore=ignored)
    with contextlib.chdir(tree):
        name = build_wheel(os.fspath(folder))
    return folder / name


@pytest.fixture(scope="module")
def wheel(built: Path) -> set[str]:
    """The names in it."""
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


def test_check_wheel_contents_has_nothing_to_say_against_it(built: Path) -> None:
    words = [sys.executable, "-m", "check_wheel_contents", "--config", "pyproject.toml", str(built)]
    done = subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LONG
    )
    assert (done.returncode, done.stdout) == (0, f"{built}: OK\n")


def test_a_wheel_brings_the_programs_the_schema_and_the_licences(wheel: set[str]) -> None:
    for folder in ("bpf", "schemas"):
        there = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
        assert there
        for path in there:
            assert f"netplan_tproxy/_share/{path.relative_to(ROOT)}" in wheel
    licences = {name.partition("/licenses/")[2] for name in wheel if "/licenses/" in name}
    assert licences == {"LICENSE", "bpf/LICENSE"}


def test_a_wheel_brings_every_module_and_no_test(wheel: set[str]) -> None:
    modules = {os.fspath(path.relative_to(ROOT)) for path in ROOT.glob("netplan_tproxy/**/*.py")}
    assert modules <= wheel
    assert not [name for name in wheel if name.startswith("tests")]
