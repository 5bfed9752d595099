"""Making a plan true, or undoing it: the one transaction.

build aside → for each step: write the intent, make it → observe again and verify →
commit. A step is one change, or a run of changes that their kind makes at once. Whatever
fails, and a signal too, undoes what was done in reverse, by the inverse changes, and
verifies that by observing again. No signal cuts the undo short.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.errors import KernelError, NotPutBackError, RolledBackError, TproxyError
from netplan_tproxy.reconcile.cut_off import end_lost
from netplan_tproxy.reconcile.diff import by_id, left_to_others
from netplan_tproxy.reconcile.report import change_line
from netplan_tproxy.reconcile.steps import Step, StepError, listed, make, step_line, steps
from netplan_tproxy.resource.kind import Kinds
from netplan_tproxy.resource.values import (
    Change,
    Id,
    Ledger,
    Live,
    Plan,
    Resource,
    follow_changes,
)
from netplan_tproxy.system.signals import Interrupts

_log = logging.getLogger(__name__)


class Journal(Protocol):
    """Where the run under way is written down (``state.State``)."""

    def begin(self, changes: Sequence[Change]) -> None:
        """Write down what is about to happen."""

    def intend(self, first: int, last: int) -> None:
        """Write down that the changes ``first`` to ``last`` are being made."""

    def abandon(self) -> None:
        """Forget the run: everything is as before."""


class NoJournal:
    """The journal of a run that leads back: what is written down already is all it needs.

    Killed half-way it is begun again, from the same entries.
    """

    def begin(self, changes: Sequence[Change]) -> None:
        """Write nothing."""

    def intend(self, first: int, last: int) -> None:
        """Write nothing."""

    def abandon(self) -> None:
        """Write nothing."""


def observe(kinds: Kinds, kernel: Kernel, scope: Sequence[Resource]) -> dict[Id, Resource]:
    """Read what the kernel has at the keys of ``scope``, and all that carries our sign."""
    wanted: dict[str, list[Resource]] = {name: [] for name in kinds}
    for resource in scope:
        wanted[resource.kind].append(resource)
    live: list[Resource] = []
    with kernel.snapshot() as seen:
        for name, kind in kinds.items():
            live.extend(kind.observe(seen, wanted[name]))
    return by_id(live)


def execute(  # noqa: PLR0913 - the parts of a transaction
    plan: Plan,
    kinds: Kinds,
    kernel: Kernel,
    journal: Journal,
    interrupts: Interrupts,
    *,
    finish: Callable[[Sequence[Change]], None],
    building: Callable[[], AbstractContextManager[None]] = nullcontext,
    accept: Callable[[], None] = lambda: None,
) -> None:
    """Make every change of ``plan`` and ``finish``, or put everything back.

    ``building`` encloses the part that takes long. ``accept`` is asked once the kernel shows
    every change. What it or ``finish`` (which makes the outcome the truth) raises undoes all.
    Raises RolledBackError or NotPutBackError when a change fails, TproxyError when the
    preparation does (nothing was touched then).
    """
    with building():
        for change in plan.changes:
            kinds[change.id.kind].prepare(kernel, change.before, change.after)
        kernel.build()
    with interrupts.shielded():
        journal.begin(plan.changes)
        made: list[Change] = []
        verified = False
        try:
            for step in steps(plan.changes, kinds):
                interrupts.checkpoint()
                journal.intend(len(made), len(made) + len(step) - 1)
                made.extend(step)
                for change in step:
                    _log.info("%s", change_line(change))
                make(step, kinds, kernel)
            interrupts.checkpoint()
            _verify(plan, kinds, kernel)
            verified = True
            accept()
            interrupts.checkpoint()
            finish(made)
        except BaseException as failure:
            left = undo(made, kinds, kernel, cause=failure, verified=verified)
            journal.abandon()
            if left or isinstance(failure, TproxyError | OSError | MemoryError | SystemError):
                message = f"{_cause(failure)}; {put_back(left)}"
                raise RolledBackError(message) from failure
            raise


def _cause(failure: BaseException) -> str:
    if isinstance(failure, MemoryError | SystemError):  # the latter, where a frame gets none
        return "out of memory"
    return str(failure) or "interrupted"


def settle(ledger: Ledger, kinds: Kinds, kernel: Kernel) -> None:
    """Let every kind drop what it kept for an undo that will not come. Raises KernelError."""
    befores: dict[str, list[Resource]] = {name: [] for name in kinds}
    for identity, mine in ledger.items():
        if mine.before is not None:
            befores[identity.kind].append(mine.before)
    for name, kind in kinds.items():
        kind.settled(kernel, befores[name])
    kernel.tidy()


def put_back(left: Sequence[str]) -> str:
    """Say how an undo ended that left some things to others."""
    return ", except ".join(["everything was put back", *left])


def undo(
    made: Sequence[Change],
    kinds: Kinds,
    kernel: Kernel,
    *,
    cause: BaseException,
    verified: bool,
) -> list[str]:
    """Make the inverse of each change, last first, and verify.

    Gives what stays as it is, as others changed it since it was ``verified``, or use it.
    Raises NotPutBackError that names what is not as it was.
    """
    failures: list[str] = []
    late: list[Change] = []
    made = _where_they_are(made, kernel)
    left = _left(made, kinds, kernel, verified=verified)
    inverse = [change.inverse() for change in reversed(made) if change.id not in left]
    for step in steps(inverse, kinds):
        for back in step:
            _log.info("undo: %s", change_line(back))
        lines, failed = _tried(step, kinds, kernel)
        failures += lines
        late += failed
    # What could not be there without something that was to be put back after it can now.
    for back in late:
        _tried([back], kinds, kernel)
    if said := end_lost(inverse, kernel):
        _log.info("undo: %s", said)
    try:
        differing = _differences(inverse, kinds, kernel)
    except (TproxyError, OSError) as failure:
        differing = [f"not known what: {failure}"]
    if differing:
        named = listed([*differing, *failures])
        message = f"{_cause(cause)}; could not put back: {named}"
        raise NotPutBackError(message)
    return [f"{now.title}: {why}" for now, why in left.values()]


def _tried(step: Step, kinds: Kinds, kernel: Kernel) -> tuple[list[str], Step]:
    """Make the changes of a step; give what failed, as lines and as changes.

    One that can't be made must not stop the rest.
    """
    try:
        make(step, kinds, kernel)
    except StepError as failed:
        lines = [f"{change_line(step[at])}: {why}" for at, why in failed.failures.items()]
        return lines, [step[at] for at in failed.failures]
    except Exception as failure:  # noqa: BLE001 - whatever it is
        return [f"{step_line(step)}: {failure}"], step
    return [], []


def _where_they_are(changes: Sequence[Change], kernel: Kernel) -> Sequence[Change]:
    """Give changes where their interfaces are now."""
    try:
        return follow_changes(changes, kernel.links())
    except (TproxyError, OSError):
        # Unread, they are where they were.
        return changes


def _left(
    made: Sequence[Change], kinds: Kinds, kernel: Kernel, *, verified: bool
) -> dict[Id, tuple[Resource, str]]:
    try:
        live = observe(kinds, kernel, [change.subject for change in made])
    except (TproxyError, OSError):
        # Unread, they are taken for unchanged: rather that than leave a half.
        return {}
    return left_to_others(made, live, verified=verified)


def _verify(plan: Plan, kinds: Kinds, kernel: Kernel) -> None:
    differing = _differences(plan.changes, kinds, kernel, plan.wanted)
    if differing:
        message = f"the kernel took every change, yet differs: {listed(differing)}"
        raise KernelError(message)


def _differences(
    changes: Sequence[Change], kinds: Kinds, kernel: Kernel, wanted: Sequence[Resource] = ()
) -> list[str]:
    """Name the changes whose outcome the kernel does not show, and what is not as wanted."""
    # Of several changes to one object only the last one's end counts.
    ends = {change.id: change for change in changes}
    along = {one.id: one for change in changes if change.after for one in change.after.along}
    also = {**along, **by_id(wanted)}
    scope = {**also, **{identity: change.subject for identity, change in ends.items()}}
    live = observe(kinds, kernel, list(scope.values()))
    differing = [change for change in ends.values() if not _reached(change, live)]
    for identity, want in also.items():
        now = live.get(identity)
        # What is gone with its interface is not what was to change along.
        missing = now is None and identity in along
        if identity not in ends and not missing and not (now and want.satisfied_by(now)):
            differing.append(Change(now, want))
    return [change_line(change) for change in differing]


def _reached(change: Change, live: Live) -> bool:
    now = live.get(change.id)
    if change.after is None:
        # Somebody else's may stand there too (a rule that differs in its protocol alone).
        return now is None or (change.subject.signed and not now.signed)
    return now is not None and change.after.satisfied_by(now)
