"""Where the bpffs is missing or hidden: found, mounted where all see it, unmounted again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.lab.patience import LONG
from tests.paths import ROOT
from tests.transactions.scenes import SCENES

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


@pytest.mark.parametrize("name", SCENES)
def test_scene(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.transactions.scenes", name],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=LONG,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
