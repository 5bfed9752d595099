"""All settings below ``net``, and writing one."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path("/proc/sys")


def tree() -> dict[str, str]:
    """Every readable setting below ``net`` that does not change by itself."""
    values = {}
    for folder, _, names in os.walk("/proc/sys/net"):
        for name in names:
            try:
                fd = os.open(f"{folder}/{name}", os.O_RDONLY | os.O_NONBLOCK)
            except OSError:
                continue
            try:
                value = os.read(fd, 65536)
            except OSError:
                continue
            finally:
                os.close(fd)
            values[f"{folder}/{name}".removeprefix("/proc/sys/")] = value.decode().strip()
    return {path: value for path, value in values.items() if not path.endswith("conntrack_count")}


def written(path: str, value: str) -> bool:
    try:
        (ROOT / path).write_text(value)
    except OSError:
        return False
    return True
