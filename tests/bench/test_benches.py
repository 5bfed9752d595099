"""The benchmarks run, and the smaller integrity run finds nothing wrong."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.lab.budget import examples
from tests.lab.patience import LONG
from tests.lab.tcx import HAS_TCX
from tests.paths import ROOT

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


def run(name: str, *options: str) -> list[str]:
    words = [sys.executable, "-m", f"tests.bench.{name}", *options]
    done = subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, timeout=LONG, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_every_path_is_measured_and_every_goal_is_told() -> None:
    lines = run("paths", "--quick", "--rounds", "1")
    for name in "abcd":
        assert len([line for line in lines if line.startswith(f"  ({name}) ")]) == 11
    assert len([line for line in lines if "to reach" in line]) == 6 + 2 * 6


@pytest.mark.skipif(not HAS_TCX, reason="tcx came with Linux 6.6")
def test_both_ways_to_attach_are_measured() -> None:
    lines = run("attach", "--quick", "--rounds", "1")
    assert len([line for line in lines if line.endswith(" ns")]) == 3 + 2 + 2
    assert len([line for line in lines if line.startswith("  (t)/(c) = ")]) == 3


def test_a_real_proxy_is_measured_in_every_way_and_no_request_fails() -> None:
    lines = run("proxy", "--seconds", "1", "--rounds", "1")
    assert len([line for line in lines if line.endswith(" 0 errors")]) == 8
    assert len([line for line in lines if "to reach" in line]) == 8


def test_a_status_is_measured_without_and_with_connections() -> None:
    lines = run("status", "--connections", "300", "--rounds", "1")
    assert [line.partition(":")[0] for line in lines] == ["no connection", "300 connections"]
    assert "(0 connections" in lines[0]


def test_the_tool_itself_is_measured_beside_tc() -> None:
    lines = run("scale", "--interfaces", "3", "--rounds", "1")
    assert [line for line in lines if not line.startswith("  ")] == ["1 interface", "3 interfaces"]
    assert len([line for line in lines if line.endswith(" MB")]) == 2 * 6


def test_a_program_that_is_missing_is_named() -> None:
    words = [sys.executable, "-m", "tests.bench.proxy"]
    done = subprocess.run(
        words, cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True, timeout=LONG, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "wrk is missing, so nothing was measured: apt install wrk\n"


def test_no_byte_is_wrong_and_no_connection_hangs_whatever_is_done_to_them() -> None:
    lines = run("integrity", "--gib", "0.2", "--seconds", str(examples(6)))
    verdicts = [line for line in lines if line.endswith("0 mismatches, 0 hangs")]
    assert verdicts
    assert len([line for line in lines if "enrolled_client" in line]) == len(verdicts)
