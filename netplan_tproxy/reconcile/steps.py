"""The steps of a transaction: one change each, or several that their kind makes at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.errors import KernelError
from netplan_tproxy.reconcile.report import change_line
from netplan_tproxy.resource.kind import BatchKind, Kinds
from netplan_tproxy.resource.values import Change

Step = Sequence[Change]
_MOST_NAMED = 100


class StepError(KernelError):
    """Some changes of a step failed: ``failures`` by their number in it. The others are made."""

    def __init__(self, failures: Mapping[int, KernelError]) -> None:
        first = failures[min(failures)]
        more = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
        super().__init__(f"{first}{more}", first.errno)
        self.failures = failures


def steps(changes: Sequence[Change], kinds: Kinds) -> Iterator[Step]:
    """Cut changes into steps, in their order."""
    for name, run in groupby(changes, key=lambda change: change.id.kind):
        kind = kinds[name]
        most = kind.most if isinstance(kind, BatchKind) else 1
        while step := list(islice(run, most)):
            yield step


def make(step: Step, kinds: Kinds, kernel: Kernel) -> None:
    """Make the changes of a step.

    Raises KernelError; of several changes StepError, where it is known which have failed.
    """
    kind = kinds[step[0].id.kind]
    if len(step) == 1:
        kind.make(kernel, step[0].before, step[0].after)
    elif isinstance(kind, BatchKind):
        failures = kind.make_many(kernel, [(change.before, change.after) for change in step])
        if failures:
            raise StepError(failures)


def step_line(step: Step) -> str:
    """Give a step as one line: its first change, and how many more there are."""
    more = f" and {len(step) - 1} more" if len(step) > 1 else ""
    return change_line(step[0]) + more


def listed(lines: Sequence[str]) -> str:
    """Join lines for a message: those beyond a hundred are counted."""
    rest = len(lines) - _MOST_NAMED
    return "; ".join([*lines[:_MOST_NAMED], *([f"and {rest} more"] if rest > 0 else [])])
