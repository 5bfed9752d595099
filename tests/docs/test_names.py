"""What prose and comments call files and folders is what they are called."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import DOCS, ROOT

PACKAGE = ROOT / "netplan_tproxy"
_SKIPPED = {".git", ".venv", ".hypothesis"}
# In a wheel alone; in the copy of the package that tests/docs/test_new_kind.py makes.
_ELSEWHERE = {"netplan_tproxy/_share", "netplan_tproxy/kinds/queue.py"}
_OURS = re.compile(r"(?<![\w/.@-])(?:netplan_tproxy|tests|bpf|docs|schemas|examples)/[\w./-]*\w")
_MODULE = re.compile(r"`([\w/*]+\.(?:py|h))\b")


def texts() -> Iterator[Path]:
    for folder in ("netplan_tproxy", "tests", "bpf", "docs"):
        yield from (path for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".h"})
        yield from (ROOT / folder).rglob("*.c")
        yield from (ROOT / folder).rglob("*.md")
    yield from ROOT.glob("*.md")


def files() -> list[str]:
    roots = (path for path in ROOT.iterdir() if path.is_dir() and path.name not in _SKIPPED)
    return [str(path.relative_to(ROOT)) for root in roots for path in root.rglob("*")]


def test_every_path_of_this_project_that_a_text_names_is_there() -> None:
    missing = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in texts()
        for name in _OURS.findall(path.read_text(encoding="utf-8"))
        if not (ROOT / name).exists() and name not in _ELSEWHERE
    ]
    assert missing == []


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md", "bpf/README.md"])
def test_every_module_that_a_page_names_is_there(page: str) -> None:
    there = files()
    text = (ROOT / page).read_text(encoding="utf-8")
    named = [name for name in _MODULE.findall(text) if not Path(name).stem.isupper()]
    assert named
    for name in named:
        pattern = re.compile(rf"(.*/)?{re.escape(name).replace(re.escape('*'), '[^/]*')}")
        assert any(pattern.fullmatch(path) for path in there), name


@pytest.mark.parametrize("page", ["docs/architecture.md"])
def test_every_folder_of_the_package_has_its_line(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert len(folders) > 10
    assert folders == set(re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE))


def test_the_drawing_of_the_floors_shows_each_once() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = [
        one["layers"] for one in contracts["contracts"] if one["name"] == "from top to bottom"
    ]
    names = [name for layer in layers for name in layer.split(" : ")]
    shown = re.findall(r">([\w]+)</text>", (DOCS / "floors.svg").read_text())
    assert sorted(shown) == sorted([*names, "imports"])


def test_every_target_of_make_that_a_text_names_is_there() -> None:
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", rules, re.MULTILINE))
    for path in (*ROOT.glob("*.md"), *DOCS.glob("*.md"), ROOT / "tests/README.md"):
        named = set(re.findall(r"(?:^|`|sudo )make ([a-z-]+)", path.read_text(), re.MULTILINE))
        assert named <= targets, path
