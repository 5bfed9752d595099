from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.needed import NOT_TO_BE_HAD
from tests.lab.patience import LONG
from tests.paths import ROOT

SKIPPING = """
import pytest

@pytest.mark.skip(reason="to be counted")
def test_skipped():
    pass

def test_passing():
    assert True
"""


def session(
    folder: Path, allowed: int, content: str, *more: str
) -> subprocess.CompletedProcess[str]:
    """A session of its own with this one's conftest."""
    (folder / "test_sample.py").write_text(content)
    (folder / "skips").write_text(f"{allowed}\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    words = ["-p", "tests.conftest", "-p", "no:cacheprovider", f"--rootdir={folder}"]
    words += [f"--config-file={folder}/pytest.ini", f"--max-skips-file={folder}/skips"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *words, *more, str(folder)],
        capture_output=True, text=True, cwd=ROOT, check=False, timeout=LONG,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("allowed", "code", "workers"),
    [(0, 1, ()), (1, 0, ()), (2, 0, ()), (0, 1, ("-n", "1")), (1, 0, ("-n", "1"))],
)
def test_more_skips_than_allowed_fail_the_session(
    tmp_path: Path, allowed: int, code: int, workers: tuple[str, ...]
) -> None:
    done = session(tmp_path, allowed, SKIPPING, *workers)
    assert "1 passed, 1 skipped" in done.stdout
    assert done.returncode == code
    assert ("1 tests skipped, 0 allowed" in done.stdout) == (code == 1)


def test_what_cannot_be_had_without_a_network_is_no_skip_to_be_allowed(tmp_path: Path) -> None:
    reason = f"Linux 6.1 {NOT_TO_BE_HAD}: no route"
    done = session(tmp_path, 0, SKIPPING.replace("to be counted", reason), "-rs")
    assert (done.returncode, reason in done.stdout) == (0, True)


def test_the_allowance_hides_no_failure(tmp_path: Path) -> None:
    assert session(tmp_path, 9, "def test_failing():\n    assert False\n").returncode == 1


SEED = """
import os

def test_the_seed():
    assert os.environ["EXAMPLES_SEED"] == "{seed}"
    assert os.environ["EXAMPLES"] == "7"
"""


def test_all_workers_have_the_budget_and_the_seed_that_the_session_says(tmp_path: Path) -> None:
    words = ("-n", "2", "--examples", "7", "--examples-seed", "4711")
    done = session(tmp_path, 0, SEED.format(seed=4711), *words)
    assert "budget: --examples 7 --examples-seed 4711" in done.stdout
    assert done.returncode == 0
