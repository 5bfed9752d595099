"""``tproxy-apply`` in a process of its own, for the tests: see tests/lab/compiled.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def keep_what_is_compiled() -> None:
    # By its path: importing the package tests.lab costs more than the program's start.
    place = Path(__file__).parents[1] / "lab" / "compiled.py"
    spec = importlib.util.spec_from_file_location("compiled", place)
    if spec and spec.loader:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.keep()


if __name__ == "__main__":
    sys.path.pop(0)
    from netplan_tproxy.cli.entry import run

    keep_what_is_compiled()
    run()
