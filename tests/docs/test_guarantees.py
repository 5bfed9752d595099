"""What docs/guarantees.md says is shown by tests that exist."""

from __future__ import annotations

import re

from tests.paths import DOCS, ROOT

TESTS = ROOT / "tests"
PAGE = DOCS / "guarantees.md"
_ROW = re.compile(r"^\| (?!promise|---)(.*) \|$", re.MULTILINE)
_NAME = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def test_every_promise_names_one_test_that_exists() -> None:
    rows = [row.split(" | ") for row in _ROW.findall(PAGE.read_text())]
    assert len(rows) > 35
    names = [_NAME.fullmatch(row[2]) for row in rows if len(row) == 3]
    missing = [
        name[0]
        for name in names
        if name is not None and f"def {name[2]}(" not in (TESTS / name[1]).read_text()
    ]
    assert missing == []
    assert None not in names
    assert len(names) == len(rows)
