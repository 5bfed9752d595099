"""How long a test waits for what must come.

A machine that does much else at a time must not fail a test: what is waited for here ends the
wait, the limit only a test that hangs.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FACTOR = "TPROXY_TESTS_PATIENCE"
"""In the environment: how many times as long, on a machine that is emulated."""
_TIMES = float(os.environ.get(FACTOR) or 1)
PATIENCE = 120.0 * _TIMES
"""Seconds."""
LONG = 400.0 * _TIMES
"""The same for a whole program, from its start to its end."""
CURL = ("curl", "-sS", "--max-time", str(int(PATIENCE)))


def comes_true(question: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Whether something is so, sooner or later."""
    deadline = time.monotonic() + seconds
    while not question():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def eventually(question: Callable[[], bool], what: str = "it never came to pass") -> None:
    """Wait until something is so."""
    if not comes_true(question):
        raise AssertionError(f"not within {PATIENCE:.0f} s: {what}")
