"""What docs/guarantees.md and docs/security.md say is shown by tests that exist."""

from __future__ import annotations

import re

import pytest

from tests.paths import DOCS, ROOT

TESTS = ROOT / "tests"
_ROW = re.compile(r"^\| (?!promise|who |path |---)(.*) \|$", re.MULTILINE)
_NAME = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


@pytest.mark.parametrize(
    ("page", "columns", "least"), [("guarantees.md", 3, 36), ("security.md", 4, 30)]
)
def test_every_promise_names_one_test_that_exists(page: str, columns: int, least: int) -> None:
    text = (DOCS / page).read_text()
    rows = [row.split(" | ") for row in _ROW.findall(text)]
    assert len(rows) >= least
    assert {len(row) for row in rows} == {columns}
    names = [_NAME.fullmatch(row[-1]) for row in rows]
    assert None not in names
    assert missing(text) == []


def missing(text: str) -> list[str]:
    """Name the tests that a text names and that do not exist."""
    return [
        name[0]
        for name in _NAME.finditer(text)
        if f"def {name[2]}(" not in (TESTS / name[1]).read_text()
    ]
