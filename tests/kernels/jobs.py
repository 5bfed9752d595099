"""The demo and tests of this checkout as jobs of a guest, and what they came to."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.kernels import guest, results
from tests.kernels.guest import Size
from tests.kernels.results import Came, Result
from tests.kernels.suites import DEMO
from tests.lab import patience
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.kernels.packages import Unpacked
    from tests.kernels.suites import Suite

_PATIENCE = 2
"""A guest is some ten times slower than this machine, which the tests' patience nearly covers."""
_SIZE = Size(cpus=2, memory=3072)


def run_suite(kernel: Unpacked, suite: Suite, folder: Path) -> Came:
    """Run a suite in a guest, and read what it left in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "junit.xml"
    report.unlink(missing_ok=True)
    own = kernel.root == Path("/")
    python = sys.executable if own else "/usr/bin/python3"
    job = demo_job(python) if suite.name == DEMO else pytest_job(suite.places, _SIZE.cpus)
    begun = time.monotonic()
    ended = guest.run(kernel, job, folder, suite.seconds, _SIZE)
    seconds = time.monotonic() - begun
    if suite.name == DEMO:
        return Came(results.of_demo(ended.code, ended.console), seconds)
    if not report.exists():
        return Came(Result(cut_short=results.NO_END), seconds)
    result, steps = results.of_junit(report.read_text())
    return Came(result, seconds, steps)


def demo_job(python: str = sys.executable) -> str:
    """The line of a shell that runs the demo."""
    return f"{_begin(python)} -m tests.demo.demo"


def pytest_job(places: Sequence[str], workers: int = 0) -> str:
    """The line that runs tests, and leaves their report and their log in the job's folder."""
    words = f"-v -n {workers} -p no:cacheprovider --examples 5 {' '.join(places)}"
    report = "-o junit_family=legacy --junitxml=/dev/job/junit.xml >/dev/job/pytest.log 2>&1"
    return f"{_begin()} -m pytest {words} {report}"


def _begin(python: str = sys.executable) -> str:
    where = f"cd '{ROOT}' && export PYTHONPATH='{ROOT}'"
    return f"{where} {patience.FACTOR}={_PATIENCE} && '{python}'"
