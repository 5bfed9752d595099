"""Removes labs whose owner died without doing so itself."""

from __future__ import annotations

import re
from pathlib import Path

from tests.lab.isolate import NETNS_DIR
from tests.lab.namespace import remove_name
from tests.lab.processes import inhabitants, stop

PREFIX = "ntp-"
_NAME = re.compile(rf"{PREFIX}(\d+)-[0-9a-f]{{6}}-(?:host|net|lan)")


def sweep() -> list[str]:
    """Remove what dead owners left; the names removed."""
    removed = []
    for path in sorted(NETNS_DIR.glob(f"{PREFIX}*")):
        match = _NAME.fullmatch(path.name)
        if match is None or Path(f"/proc/{match[1]}").exists():
            continue
        for pid in inhabitants(path.stat().st_ino):
            stop(pid)
        remove_name(path)
        removed.append(path.name)
    return removed
