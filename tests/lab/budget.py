"""How much work the tests do that could go on for ever: random examples, steps to be killed at.

``pytest --examples N``, or ``EXAMPLES=N`` in the environment: ``USUAL`` of it is a day's work.
Other numbers scale the random tests; from ``ALL`` on nothing is left out.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

USUAL = 40
ALL = 10 * USUAL
EXAMPLES, SEED = "EXAMPLES", "EXAMPLES_SEED"


def budget() -> int:
    return int(os.environ.get(EXAMPLES) or USUAL)


def seed() -> int:
    """What the choice of steps, and some examples, follow from; a session says which it has."""
    return int(os.environ.get(SEED) or 0)


def examples(usual: int) -> int:
    """How many examples to try where ``usual`` are tried as a rule."""
    return max(1, usual * budget() // USUAL)


def some(steps: Iterable[int], share: int = 4) -> list[int]:
    """The first step, the last, and one of ``share`` between; or all, if the budget allows."""
    every = sorted(steps)
    if budget() >= ALL or len(every) <= share:
        return every
    between = every[1:-1]
    count = examples(-(-len(between) // share))
    chosen = random.Random(seed()).sample(between, min(count, len(between)))  # noqa: S311
    return sorted({every[0], *chosen, every[-1]})
