"""packaging/debian says what pyproject.toml says; docs/distributions.md what a run wrote."""

from __future__ import annotations

import json
import os
import re
import tomllib

import netplan_tproxy
from tests.distros.__main__ import RELEASES, is_right
from tests.docs.pages import module_of
from tests.paths import DOCS, ROOT

DEBIAN = ROOT / "packaging" / "debian"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAMES = {
    "pyroute2": "python3-pyroute2",
    "pyyaml": "python3-yaml",
    "jsonschema": "python3-jsonschema",
}


def depends() -> dict[str, str]:
    """What the package depends on, each with the version from which."""
    text = (DEBIAN / "control").read_text().partition("\nPackage: ")[2]
    field = re.findall(r"^Depends: ((?:.+\n)(?: .+\n)*)", text, re.MULTILINE)[0]
    parts = [part.strip() for part in field.replace("\n", " ").split(",")]
    found = [re.findall(r"([\w$:{}-]+)(?: \(>= ([\d.]+)\))?", part)[0] for part in parts]
    return dict(found)


def test_the_package_needs_the_versions_that_the_wheel_needs() -> None:
    said = depends()
    assert said["python3"] == PROJECT["requires-python"].removeprefix(">=")
    for needed in PROJECT["dependencies"]:
        name, version = re.findall(r"^([\w-]+)>=([\d.]+),<", needed)[0]
        (packaged,) = [value for key, value in said.items() if key == NAMES[name]]
        assert version.startswith(packaged), needed
    assert len(PROJECT["dependencies"]) == len(NAMES)


def test_the_package_has_the_version_of_the_program() -> None:
    first = (DEBIAN / "changelog").read_text().splitlines()[0]
    assert first.startswith(f"netplan-tproxy ({netplan_tproxy.__version__}) ")


def test_what_the_package_installs_is_there() -> None:
    named = [
        line.split()[0]
        for kind in ("install", "docs", "examples")
        for line in (DEBIAN / f"netplan-tproxy.{kind}").read_text().splitlines()
    ]
    assert len(named) >= 4
    assert [name for name in named if not list(ROOT.glob(name))] == []


def test_each_test_of_the_package_is_there_and_can_be_run() -> None:
    tests = re.findall(r"^Tests: (\w+)$", (DEBIAN / "tests" / "control").read_text(), re.MULTILINE)
    assert tests == ["demo", "upgrade"]
    for name in tests:
        assert os.access(DEBIAN / "tests" / name, os.X_OK)


def test_the_page_of_distributions_is_what_a_run_wrote() -> None:
    results = json.loads((DOCS / "distributions.json").read_text())
    text = (DOCS / "distributions.md").read_text()
    made = module_of("distributions").page(text, results)
    assert text == made, "run: python docs/distributions.py"


def test_what_was_tried_works_and_what_was_not_is_marked() -> None:
    results = json.loads((DOCS / "distributions.json").read_text())
    page = module_of("distributions")
    assert tuple(release.name for release in RELEASES) == page.RELEASES
    tried = results["releases"]
    assert tried.keys() <= set(page.RELEASES)
    assert all(map(is_right, tried.values()))
    assert results["too_old"]["refused"]
    rows = (DOCS / "distributions.md").read_text()
    assert rows.count(" not tried |") >= 5 * (len(page.RELEASES) - len(tried))
