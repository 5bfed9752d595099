"""The parts of pyroute2 that are needed, without the rest."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any


def part(name: str) -> Any:
    """Import ``pyroute2.NAME`` without the package's ``__init__``.

    That one imports every part there is (NDB, conntrack, WiFi, …), which takes longer than
    a whole run. The package stays an empty one in this process.
    """
    if "pyroute2" not in sys.modules:
        spec = importlib.util.find_spec("pyroute2")
        if spec is None:
            raise ModuleNotFoundError(name="pyroute2")
        sys.modules["pyroute2"] = importlib.util.module_from_spec(spec)
    return importlib.import_module(f"pyroute2.{name}")
