"""What docs/guarantees.md and docs/security.md say is shown by tests that exist."""

from __future__ import annotations

import re

import pytest

from tests.paths import DOCS, ROOT
from tests.traffic import live

TESTS = ROOT / "tests"
_ROW = re.compile(r"^\| (?!promise|who |path |---)(.*) \|$", re.MULTILINE)
# Two tables of cells: their tests are named above them, and hold them as data.
_LIVE = re.compile(r"## What lives when the site file changes\n.*?(?=\n## )", re.DOTALL)
_NAME = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


@pytest.mark.parametrize(
    ("page", "columns", "least"), [("guarantees.md", 3, 36), ("security.md", 4, 30)]
)
def test_every_promise_names_one_test_that_exists(page: str, columns: int, least: int) -> None:
    text = (DOCS / page).read_text()
    rows = [row.split(" | ") for row in _ROW.findall(_LIVE.sub("", text))]
    assert len(rows) >= least
    assert {len(row) for row in rows} == {columns}
    names = [_NAME.fullmatch(row[-1]) for row in rows]
    assert None not in names
    assert missing(text) == []


def test_what_becomes_of_what_lives_is_what_is_tried() -> None:
    (section,) = _LIVE.findall((DOCS / "guarantees.md").read_text())
    rows = [tuple(line[2:-2].split(" | ")) for line in section.splitlines() if line[:2] == "| "]
    tried: list[tuple[str, ...]] = []
    for head, table in (("what changes", live.ROWS), ("what comes", live.DIRECT_ROWS)):
        tried += [(head, *live.COLUMNS), ("---",) * 5]
        tried += [(change, *row.cells) for change, row in table.items()]
    assert rows == tried


def missing(text: str) -> list[str]:
    """Name the tests that a text names and that do not exist."""
    return [
        name[0]
        for name in _NAME.finditer(text)
        if f"def {name[2]}(" not in (TESTS / name[1]).read_text()
    ]
