"""What a test runs or reads, and a machine may lack: the test is skipped there, and says so."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.datapath import trials
from netplan_tproxy.kernel.host.release import linux_version

if TYPE_CHECKING:
    from tests.lab.namespace import Namespace

NOT_TO_BE_HAD = "cannot be had here"
"""In the reason of a skip: what a download would bring. Such a skip is allowed to CI."""


def need(*programs: str) -> None:
    """Skip where one of the programs is not installed."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def read_needed(path: str) -> str:
    """Read a file of another package; skip where it is not installed."""
    if not Path(path).exists():
        pytest.skip(f"{path} is not installed")
    return Path(path).read_text()


def need_fastpath() -> None:
    """Skip on a kernel that refuses the fast path's programs."""
    if missing := [one.name for one in trials.missing_for_fastpath()]:
        pytest.skip(f"this kernel has no {', '.join(missing)} for the fast path")


def need_shared_ports() -> None:
    """Skip before Linux 6.6, where bpf_sk_assign refuses a listener with SO_REUSEPORT."""
    if linux_version() < (6, 6):
        pytest.skip("bpf_sk_assign takes a listener with SO_REUSEPORT since Linux 6.6")


def need_sysctl(namespace: Namespace, name: str) -> None:
    """Skip where a sysctl is the whole machine's, so that no network namespace has it."""
    place = f"/proc/sys/{name.replace('.', '/')}"
    if namespace.run(["test", "-e", place], check=False).returncode:
        pytest.skip(f"{name} is no network namespace's own on this kernel")
