"""Where the bpffs is missing or hidden: found, mounted where all see it, unmounted again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.apply.scenes import SCENES
from tests.apply.support import ROOT

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


@pytest.mark.parametrize("name", SCENES)
def test_scene(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.apply.scenes", name],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
