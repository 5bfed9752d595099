"""The schema is valid, documents every key, and agrees with the code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from netplan_tproxy import paths
from netplan_tproxy.datapath.layouts import BYPASS_MARKS
from netplan_tproxy.site.build import DEFAULT_ATTACH
from netplan_tproxy.site.load import parse
from netplan_tproxy.site.schema import location as schema
from netplan_tproxy.site.schema.wording import flow
from netplan_tproxy.site.sections.checks import DEFAULT_TIMEOUT
from netplan_tproxy.site.sections.fastpath import LARGEST_BUDGET, SMALLEST_BUDGET
from netplan_tproxy.site.sections.interfaces import DEFAULT_DIRECTIONS
from netplan_tproxy.site.sections.marks import DEFAULTS
from netplan_tproxy.site.sections.proxy import (
    DEFAULT_ADDRESSES,
    DEFAULT_WHEN_DOWN,
    LISTENER_FAMILIES,
)
from netplan_tproxy.site.sections.routes import DEFAULT_TABLE
from netplan_tproxy.site.sections.rules import DEFAULT_PRIORITY
from netplan_tproxy.site.sections.users_cgroups import CGROUP_LEVELS
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    smallest = parse("version: 1\ninterfaces: {wan0: {}}\nproxy: {port: 1}\n", "site.yaml")
    marks = {name: str(mark) for name, mark in DEFAULTS.items()}
    assert keys[".marks"]["default"] == marks
    assert {name: keys[f".marks.{name}"]["default"] for name in marks} == marks
    assert list(keys[".route_tables"]["default"]) == [str(DEFAULT_TABLE)]
    assert keys["rule.priority"]["default"] == DEFAULT_PRIORITY
    addresses = {name: keys[f".proxy.{name}.address"]["default"] for name in LISTENER_FAMILIES}
    assert addresses == {
        name: DEFAULT_ADDRESSES[family] for name, family in LISTENER_FAMILIES.items()
    }
    assert keys[".proxy.when_down"]["default"] == DEFAULT_WHEN_DOWN
    assert keys[".attach"]["default"] == DEFAULT_ATTACH == smallest.attach
    assert (keys["interface.intercept"]["default"],) == DEFAULT_DIRECTIONS
    assert keys["check.timeout"]["default"] == DEFAULT_TIMEOUT


def test_every_limit_is_the_one_in_the_code() -> None:
    keys = dict(_keys(schema.site_schema()))
    budget = keys[".fastpath.budget"]
    assert (budget["minimum"], budget["maximum"]) == (SMALLEST_BUDGET, LARGEST_BUDGET)
    assert keys[".bypass.marks"]["maxItems"] == BYPASS_MARKS - 1  # marks.bypass is one, too
    levels = f"at most {CGROUP_LEVELS} levels"
    assert levels in keys[".bypass.cgroups"]["description"]
    policy = ROOT / "bpf" / "tproxy" / "policy.h"
    assert f"#define CGROUP_LEVELS {CGROUP_LEVELS}\n" in policy.read_text(encoding="utf-8")


def _examples(node: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    if isinstance(node, dict):
        for example in node.get("examples", []):
            yield node, example
        if "default" in node and "examples" in node:
            yield node, node["default"]
        for below in node.values():
            yield from _examples(below)
    elif isinstance(node, list):
        for below in node:
            yield from _examples(below)


def test_every_example_and_default_is_as_its_key_wants_it() -> None:
    whole = schema.site_schema()
    found = list(_examples(whole))
    assert len(found) > 80
    for key, example in found:
        own = {name: value for name, value in key.items() if name != "$id"}
        Draft202012Validator(own | {"$defs": whole["$defs"]}).validate(example)


@pytest.mark.parametrize(
    "name",
    [
        "marks",
        "route_tables",
        "route_files",
        "rules",
        "sysctls",
        "intercept",
        "bypass",
        "checks",
        "fastpath",
    ],
)
def test_a_section_written_out_as_its_default_changes_nothing(name: str) -> None:
    minimal = "version: 1\ninterfaces: {wan0: {}}\nproxy: {port: 9040}\n"
    default = schema.site_schema()["properties"][name]["default"]
    assert parse(f"{minimal}{name}: {flow(default)}\n", "s") == parse(minimal, "s")


def test_the_schema_inside_the_package_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "netplan_tproxy"
    monkeypatch.setattr(paths, "_PACKAGE", package)
    paths.shared.cache_clear()
    with pytest.raises(FileNotFoundError, match=r"site\.schema\.json"):
        schema.schema_path()
    beside = tmp_path / "schemas" / "site.schema.json"
    inside = package / "_share" / "schemas" / "site.schema.json"
    for place in (beside, inside):
        place.parent.mkdir(parents=True)
        place.write_text("{}", encoding="utf-8")
        paths.shared.cache_clear()
        assert schema.schema_path() == place
    paths.shared.cache_clear()
