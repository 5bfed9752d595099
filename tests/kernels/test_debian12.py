"""Debian 12's own kernel, in software emulation: the demo, and tests of what it lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kernels import guest, jobs, packages, results
from tests.kernels.apt import UnavailableError
from tests.kernels.suites import DEBIAN12, HANDFUL
from tests.lab.needed import NOT_TO_BE_HAD, need
from tests.lab.patience import LONG

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kernels.packages import Unpacked

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.longest]


@pytest.fixture
def kernel() -> Unpacked:
    need("qemu-system-x86_64", "busybox", "depmod")
    try:
        return packages.kept(DEBIAN12)
    except UnavailableError as reason:
        pytest.skip(f"Linux {DEBIAN12.name} {NOT_TO_BE_HAD}: {reason}")


def test_the_demo_and_a_handful_of_tests_pass_on_it(kernel: Unpacked, tmp_path: Path) -> None:
    job = f"uname -r\n{jobs.demo_job()} &&\n{jobs.pytest_job(HANDFUL)}"
    ended = guest.run(kernel, job, tmp_path, 2 * LONG, guest.Size(cpus=1))
    log = tmp_path / "pytest.log"
    assert ended.code == 0, ended.console + (log.read_text() if log.exists() else "")
    assert f"Linux {DEBIAN12.name}." in ended.console
    assert "all 17 claims held" in ended.console
    result, _ = results.of_junit((tmp_path / "junit.xml").read_text())
    assert result.passed
    assert result == results.Result(result.passed)
