"""Three hundred histories on the real kernel, side by side on every CPU."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.paths import ROOT

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

EXAMPLES = 300


@pytest.mark.timeout(1500)
def test_three_hundred_histories_keep_the_four_promises() -> None:
    share = len(os.sched_getaffinity(0))
    pytest_here = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "timeout=0",
    ]
    runs = [
        subprocess.Popen(
            [
                *pytest_here,
                "--timeout=0",
                f"--hypothesis-seed={seed}",
                "tests/transactions/histories/histories.py",
            ],
            cwd=ROOT,
            env={**os.environ, "LAB_ANEW": "1", "HISTORIES": str(-(-EXAMPLES // share))},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for seed in range(share)
    ]
    try:
        outputs = [run.communicate(timeout=1400)[0] for run in runs]
    finally:
        for run in runs:
            run.kill()
            run.wait()
    for run, output in zip(runs, outputs, strict=True):
        assert run.returncode == 0, output
