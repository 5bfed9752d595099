"""tests/README.md knows every folder of tests."""

from __future__ import annotations

import re

from tests.paths import ROOT

TESTS = ROOT / "tests"


def test_the_map_names_every_folder_of_tests_and_no_other() -> None:
    rows = [line for line in (TESTS / "README.md").read_text().splitlines() if line[:3] == "| `"]
    firsts = " ".join(row.split(" | ")[0] for row in rows)
    named = {name.rstrip("/") for name in re.findall(r"`([\w/]+/)`", firsts)}
    folders = {str(path.parent.relative_to(TESTS)) for path in TESTS.rglob("*.py")} - {"."}
    assert named == folders
