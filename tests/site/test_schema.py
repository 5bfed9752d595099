"""The schema is valid, documents every key, and agrees with the code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from netplan_tproxy.site import schema
from netplan_tproxy.site.load import parse
from netplan_tproxy.site.marks import DEFAULTS
from netplan_tproxy.site.routes import DEFAULT_TABLE
from netplan_tproxy.site.rules import DEFAULT_PRIORITY
from netplan_tproxy.site.wording import flow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _keys(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, key in node.get("properties", {}).items():
        yield f"{path}.{name}", key
        yield from _keys(key, f"{path}.{name}")
    for name, definition in node.get("$defs", {}).items():
        yield from _keys(definition, name)


def test_the_schema_is_valid() -> None:
    Draft202012Validator.check_schema(schema.site_schema())


@pytest.mark.parametrize(("path", "key"), list(_keys(schema.site_schema())))
def test_every_key_is_documented(path: str, key: dict[str, Any]) -> None:
    assert {"title", "description", "examples"} <= set(key), path


def test_every_default_is_the_one_in_the_code() -> None:
    keys = dict(_keys(schema.site_schema()))
    marks = {name: str(mark) for name, mark in DEFAULTS.items()}
    assert keys[".marks"]["default"] == marks
    assert {name: keys[f".marks.{name}"]["default"] for name in marks} == marks
    assert list(keys[".route_tables"]["default"]) == [str(DEFAULT_TABLE)]
    assert keys["rule.priority"]["default"] == DEFAULT_PRIORITY


@pytest.mark.parametrize("name", ["marks", "route_tables", "rules", "sysctls"])
def test_a_section_written_out_as_its_default_changes_nothing(name: str) -> None:
    minimal = "version: 1\ninterfaces: {wan0: {}}\nproxy: {port: 9040}\n"
    default = schema.site_schema()["properties"][name]["default"]
    assert parse(f"{minimal}{name}: {flow(default)}\n", "s") == parse(minimal, "s")


def test_the_schema_inside_the_package_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "netplan_tproxy"
    monkeypatch.setattr(schema, "__file__", str(package / "site" / "schema.py"))
    with pytest.raises(FileNotFoundError, match=r"schemas/site\.schema\.json"):
        schema.schema_path()
    beside = tmp_path / "schemas" / "site.schema.json"
    inside = package / "_share" / "schemas" / "site.schema.json"
    for place in (beside, inside):
        place.parent.mkdir(parents=True)
        place.write_text("{}", encoding="utf-8")
        assert schema.schema_path() == place
