"""The drawings in docs/ are what their source makes."""

from __future__ import annotations

import importlib.util
from typing import Any
from xml.etree import ElementTree as ET

from tests.paths import DOCS


def maker() -> Any:
    spec = importlib.util.spec_from_file_location("drawings", DOCS / "drawings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_drawing_is_current_and_shown_in_the_architecture() -> None:
    story = (DOCS / "architecture.md").read_text()
    for name, draw in maker().DRAWINGS.items():
        text = (DOCS / name).read_text()
        assert text == draw(), "run: python docs/drawings.py"
        ET.fromstring(text)  # noqa: S314 - our own
        assert f"({name})" in story
