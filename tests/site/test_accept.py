"""The quick answer is jsonschema's: on every data file, and on what mutation makes of it."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from netplan_tproxy.site.schema.accept import UnsureError, accepts
from netplan_tproxy.site.schema.location import site_schema
from tests.lab.budget import examples
from tests.lab.patience import LONG
from tests.paths import ROOT

FILES = sorted((Path(__file__).parent / "data").rglob("*.yaml"))
EXAMPLES = sorted((ROOT / "examples").rglob("*.yaml"))
JSCHEMA = Draft202012Validator(site_schema())

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 70000), st.floats(allow_nan=False),
    st.text(max_size=20),
    st.sampled_from(["wan0", "tcp", "0x1/0x1", "10.0.0.0/8", "::/0", "443", "8000-8999", "drop"]),
)  # fmt: skip


def loaded(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        return None


GOOD = [value for path in (*FILES, *EXAMPLES) if isinstance(value := loaded(path), dict)]


def agrees(value: Any) -> bool | None:
    """What both say; None where the quick one does not know."""
    try:
        said = accepts(site_schema(), value)
    except UnsureError:
        return None
    assert said == JSCHEMA.is_valid(value), value
    return said


def test_it_knows_every_file_there_is() -> None:
    answers = [agrees(value) for value in GOOD]
    assert len(GOOD) > 50
    assert answers.count(True) > 20
    assert answers.count(False) > 20


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_no_example_needs_the_slow_answer(path: Path) -> None:
    assert agrees(loaded(path)) is True


@settings(max_examples=examples(1500))
@given(st.sampled_from(GOOD), st.randoms(use_true_random=False), SCALARS)
def test_it_agrees_whatever_is_changed(value: Any, chance: Any, new: Any) -> None:
    changed = copy.deepcopy(value)
    for _ in range(chance.randrange(1, 4)):
        mutate(changed, chance, new)
    agrees(changed)


def mutate(value: Any, chance: Any, new: Any) -> None:
    """Change, add or remove one thing somewhere below ``value``."""
    while True:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        if not keys or chance.random() < 0.1:
            break
        key = chance.choice(keys)
        if isinstance(value[key], dict | list) and chance.random() < 0.7:
            value = value[key]
            continue
        if chance.random() < 0.5:
            value[key] = new
        else:
            del value[key]
        return
    if isinstance(value, dict):
        value[chance.choice(["ports", "to", "tcp", "port", "what"])] = new
    else:
        value.append(new)


def test_a_right_file_is_loaded_without_jsonschema(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("version: 1\ninterfaces: {wan0: {}}\nproxy: {port: 9040}\n")
    code = (
        "import sys; from netplan_tproxy.site.load import load; load(sys.argv[1]); "
        "sys.exit('jsonschema' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code, site], check=False, timeout=LONG).returncode
        == 0
    )
