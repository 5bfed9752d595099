"""The drawings in docs/ are what their source makes."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from tests.docs.pages import module_of
from tests.paths import DOCS


def test_every_drawing_is_current_and_shown_in_the_architecture() -> None:
    story = (DOCS / "architecture.md").read_text()
    for name, draw in module_of("drawings").DRAWINGS.items():
        text = (DOCS / name).read_text()
        assert text == draw(), "run: python docs/drawings.py"
        ET.fromstring(text)  # noqa: S314 - our own
        assert f"({name})" in story
