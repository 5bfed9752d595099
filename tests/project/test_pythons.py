"""Older and newer Pythons than that of the tests."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import pytest

from netplan_tproxy.errors import TproxyError
from netplan_tproxy.kernel.bpf import compiler
from tests.lab.patience import LONG
from tests.paths import ROOT


@pytest.mark.parametrize("begun", ["netplan_tproxy.cli.entry", "netplan_tproxy.relay.cli"])
def test_a_python_that_is_too_old_is_named_in_one_line(begun: str) -> None:
    code = f"import sys; sys.version_info = (3, 9, 2, 'final', 0); import {begun}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=LONG,
    )  # fmt: skip
    (line,) = done.stderr.splitlines()
    assert line.startswith("netplan-tproxy: Python 3.11 or newer is needed, this is 3.9 (")
    assert (done.returncode, done.stdout) == (1, "")


def test_what_bcc_is_warned_of_is_its_own_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    # With Python 3.14 its import warns of its ctypes structures; here warnings are errors.
    class Bcc:
        @staticmethod
        def BPF(**_: Any) -> None:  # noqa: N802 - bcc's name
            warnings.warn("no _layout_", DeprecationWarning, stacklevel=1)
            raise RuntimeError("that will do")

    def imported() -> type[Bcc]:
        warnings.warn("no _layout_", DeprecationWarning, stacklevel=1)
        return Bcc

    monkeypatch.setattr(compiler, "_bcc", imported)
    with pytest.raises(TproxyError, match="that will do"):
        compiler.compile_programs("", headers="/ours", defines={}, functions=["warned of"])
    with pytest.raises(DeprecationWarning):
        warnings.warn("of our own", DeprecationWarning, stacklevel=1)
