"""docs/site-yaml.md and the editor's support are the schema's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from netplan_tproxy.site.schema.location import site_schema
from tests.docs.pages import module_of
from tests.paths import ROOT

SCHEMA = site_schema()
SITES = sorted((ROOT / "examples").rglob("*.yaml"))


def test_the_page_is_what_the_schema_makes() -> None:
    made = module_of("site_yaml").page(SCHEMA)
    assert (ROOT / "docs/site-yaml.md").read_text() == made, "run: python docs/site_yaml.py"


def test_every_example_on_the_page_is_yaml() -> None:
    page = (ROOT / "docs/site-yaml.md").read_text()
    found = re.findall(r"^- for instance `(.*)`$", page, re.MULTILINE)
    assert len(found) > 60
    for line in found:
        assert isinstance(yaml.safe_load(line), dict), line


def keys(schema: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(schema, dict):
        for name, one in schema.get("properties", {}).items():
            yield f"{path}.{name}", one
        for name, one in schema.items():
            yield from keys(one, f"{path}.{name}")
    elif isinstance(schema, list):
        for number, one in enumerate(schema):
            yield from keys(one, f"{path}.{number}")


def test_every_key_has_a_title_a_description_and_an_example() -> None:
    found = dict(keys(SCHEMA))
    assert len(found) > 40
    for path, schema in found.items():
        assert {"title", "description", "examples"} <= schema.keys(), path


@pytest.mark.parametrize("path", SITES, ids=lambda path: path.parent.name)
def test_every_example_tells_the_editor_its_schema(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (path.parent / first.partition("$schema=")[2]).resolve().is_file()
