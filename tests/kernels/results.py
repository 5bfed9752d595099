"""What became of the tests on each kernel: docs/kernels.json, and how it is had."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from tests.paths import DOCS

if TYPE_CHECKING:
    from pathlib import Path

FILE = DOCS / "kernels.json"
NO_END = "came to no end"
PASSED, SKIPPED, FAILED = "passed", "skipped", "failed"


@dataclass(frozen=True)
class Result:
    """What a suite came to: ``failed`` and ``skipped`` by test and by reason."""

    passed: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    cut_short: str = ""
    """Why it came to no end."""

    def __str__(self) -> str:
        """A cell of the table."""
        counts = {
            PASSED: self.passed, FAILED: len(self.failed), SKIPPED: sum(self.skipped.values()),
        }  # fmt: skip
        said = [f"{count} {what}" for what, count in counts.items() if count]
        return ", ".join([*said, *([self.cut_short] if self.cut_short else [])]) or "nothing"


def of_junit(text: str) -> tuple[Result, dict[str, int]]:
    """Read a report of pytest's: the result, and the verifier's steps by program."""
    passed, failed, skipped = 0, {}, Counter[str]()
    steps: dict[str, int] = {}
    for case in ET.fromstring(text).iter("testcase"):  # noqa: S314 - our own guest wrote it
        name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        for one in case.iter("property"):
            steps[str(one.get("name"))] = int(str(one.get("value")))
        wrong = next((one for one in case if one.tag in {"failure", "error"}), None)
        skip = case.find("skipped")
        if wrong is not None:
            failed[name] = _line(str(wrong.get("message")))
        elif skip is not None:
            skipped[_line(str(skip.get("message")))] += 1
        else:
            passed += 1
    return Result(passed, failed, dict(sorted(skipped.items()))), steps


def of_demo(code: int | None, console: str) -> Result:
    """Count the claims that held."""
    held = len(re.findall(r"^   ok: ", console, re.MULTILINE))
    failed = re.findall(r"^FAILED: (.*)", console, re.MULTILINE)
    if code == 0 and not failed:
        return Result(held)
    return Result(held, {"the demo": failed[0]}) if failed else Result(held, cut_short=NO_END)


def _line(text: str) -> str:
    """The first line, as far as a person reads."""
    first = text.strip().splitlines()[0] if text.strip() else "no word"
    return first if len(first) <= 160 else f"{first[:160]}…"


def read(place: Path = FILE) -> dict[str, dict[str, object]]:
    """Read the file: by kernel its version, suites and steps."""
    known: dict[str, dict[str, object]] = json.loads(place.read_text()) if place.exists() else {}
    return known


@dataclass(frozen=True)
class Came:
    """What a guest came to: ``steps`` of the verifier by program."""

    result: Result
    seconds: float
    steps: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A suite has run on a kernel, of which ``version`` is what uname -r says."""

    kernel: str
    version: str
    suite: str
    came: Came


def write(run: Run, place: Path = FILE) -> None:
    """Put it into the file, in the place of an earlier one."""
    known = read(place)
    row = known.setdefault(run.kernel, {})
    row["version"] = run.version
    before = row.get("suites")
    suites = before if isinstance(before, dict) else {}
    row["suites"] = {**suites, run.suite: asdict(run.came.result)}
    if run.came.steps:
        row["steps"] = run.came.steps
    place.write_text(f"{json.dumps(known, indent=1, sort_keys=True)}\n")
