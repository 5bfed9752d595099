from __future__ import annotations

import contextlib
import os
import shutil
import zipfile

import pytest
from hatchling.build import build_wheel

from tests.paths import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in a wheel built from a copy of the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    ignored = shutil.ignore_patterns(".venv", ".git", ".*_cache", "__pycache__")
    shutil.copytree(ROOT, tree, ignore=ignored)
    with contextlib.chdir(tree):
        name = build_wheel(os.fspath(folder))
    with zipfile.ZipFile(folder / name) as archive:
        return set(archive.namelist())


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
