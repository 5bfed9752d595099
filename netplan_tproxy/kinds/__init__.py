"""The kinds of resources, one file each; no kind imports another. This file only finds them."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from netplan_tproxy.resource.kind import Kind


def all_kinds() -> dict[str, Kind[Any]]:
    """Import every kind; the keys are the kinds' names as they stand in a ledger."""
    kinds = {}
    for module in pkgutil.iter_modules(__path__):
        kind = importlib.import_module(f"{__name__}.{module.name}").KIND
        kinds[kind.resource.kind] = kind
    return kinds
