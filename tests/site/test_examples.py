"""The examples load, and the full one shows every key there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from netplan_tproxy.site.load import load
from netplan_tproxy.site.model import AF_INET, AF_INET6
from netplan_tproxy.site.schema.location import site_schema
from tests.paths import ROOT

_EXAMPLES = ROOT / "examples"
_FILES = sorted([*_EXAMPLES.glob("*.yaml"), *_EXAMPLES.glob("**/site.yaml")])
# Left out where they have an alternative that is shown, or must be an address of the host.
_OTHER_FORMS = {"proxy.port", "rules.family", "intercept.to_files", "route_tables.200.src"}


@pytest.mark.parametrize("path", _FILES, ids=lambda path: str(path.relative_to(_EXAMPLES)))
def test_an_example_loads(path: Path) -> None:
    assert load(path).interfaces


def _shown(value: Any, path: str = "") -> set[str]:
    if isinstance(value, list):
        return {key for item in value for key in _shown(item, path)}
    if not isinstance(value, dict):
        return set()
    keys = set()
    for name, below in value.items():
        here = f"{path}.{name}" if path else str(name)
        keys |= {here} | _shown(below, here)
    return keys


def test_the_full_example_shows_every_key() -> None:
    schema = site_schema()
    shown = _shown(yaml.safe_load((_EXAMPLES / "full.yaml").read_text(encoding="utf-8")))
    known = set(schema["properties"])
    for section in ("proxy", "marks", "intercept", "bypass", "fastpath"):
        known |= {f"{section}.{name}" for name in schema["properties"][section]["properties"]}
    for section, kind in (
        ("rules", "rule"),
        ("checks", "check"),
        ("route_tables.200", "route"),
        ("route_tables.200.nexthops", "nexthop"),
    ):
        known |= {f"{section}.{name}" for name in schema["$defs"][kind]["properties"]}
    assert known - shown == _OTHER_FORMS


def test_the_full_example_is_dual_stack() -> None:
    site = load(_EXAMPLES / "full.yaml")
    assert site.proxy.families == (AF_INET, AF_INET6)
    assert [route.family for route in site.routes if route.type == "local"] == [AF_INET, AF_INET6]
    assert [rule.families for rule in site.rules] == [(AF_INET, AF_INET6)]
    assert {len(prefix[1]) for prefix in site.policy.bypass_to} == {16}
