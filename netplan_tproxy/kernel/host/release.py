"""Which Linux runs."""

from __future__ import annotations

import platform
import re


def linux_version(release: str = "") -> tuple[int, int]:
    """Read the first two numbers of a release such as 6.1.0-18-amd64; "": of the one that runs.

    (0, 0) for what has none.
    """
    numbers = re.match(r"(\d+)\.(\d+)", release or platform.release())
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
