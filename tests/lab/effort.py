"""How much work something is, told so that a busy machine says what an idle one says."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def cpu_seconds() -> float:
    """What this process and its children that have ended have had of the CPUs."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def _reference() -> None:
    """A tenth of a second's work, on the machine that this was written on."""
    total = 0
    for number in range(2_200_000):
        total += number & 7


def _seconds(work: Callable[[], object]) -> float:
    start = cpu_seconds()
    work()
    return cpu_seconds() - start


def effort(work: Callable[[], object]) -> float:
    """CPU seconds that ``work`` takes when the machine does nothing else.

    CPUs that are shared do less in a second, so a known piece of work is measured beside it:
    what was measured, or what that work has it.
    """
    taken = _seconds(work)
    return min(taken, taken / (10 * _seconds(_reference)))


def is_done_within(seconds: float, work: Callable[[], object], tries: int = 3) -> bool:
    """Whether one of a few tries takes no more ``effort`` than that."""
    return any(effort(work) < seconds for _ in range(tries))
