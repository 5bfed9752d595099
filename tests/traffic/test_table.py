"""What docs/datapath.md says is shown by tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

from tests.paths import DOCS

HERE = Path(__file__).parent
PAGE = DOCS / "datapath.md"
_ROW = re.compile(r"^\| (?!traffic|what \||---)(.*) \|$", re.MULTILINE)
# That section is held against the programs' model in tests/docs/test_facts.py.
_ADDRESSES = re.compile(r"## What the policy is never asked about\n.*?(?=\n## )", re.DOTALL)
_NAME = re.compile(r"`((?:\w+/)?test_\w+\.py)::(test_\w+)`")


def path_of(file: str) -> Path:
    """A file of this folder, or one that is named with the folder beside it."""
    return (HERE.parent if "/" in file else HERE) / file


def test_every_row_names_one_test_and_every_named_test_exists() -> None:
    page = _ADDRESSES.sub("", PAGE.read_text())
    rows = [row.split(" | ") for row in _ROW.findall(page)]
    assert len(rows) > 40
    assert [row for row in rows if len(row) != 3 or not _NAME.fullmatch(row[2])] == []
    missing = [
        f"{file}::{name}"
        for file, name in _NAME.findall(page)
        if f"def {name}(" not in path_of(file).read_text()
    ]
    assert missing == []


def test_every_file_of_tests_is_named() -> None:
    named = {file for file, _ in _NAME.findall(PAGE.read_text()) if "/" not in file}
    assert {path.name for path in HERE.glob("test_*.py")} - {Path(__file__).name} == named
