"""Kinds that fail when told to: at one change, before or after it has been made."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from netplan_tproxy.datapath import programs
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kinds import all_kinds
from netplan_tproxy.reconcile import session
from netplan_tproxy.resource.kind import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pytest

    from netplan_tproxy.datapath.host import Kernel
    from netplan_tproxy.datapath.snapshot import Snapshot
    from netplan_tproxy.datapath.wanted import Wanted
    from tests.lab.host import Host

Act = Callable[[], None]


class Sabotage:
    """Calls ``act`` around the makes whose numbers are in ``at``, and counts them all."""

    def __init__(self, act: Act, at: set[int], *, done: bool) -> None:
        self._act = act
        self._at = at
        self._done = done
        self.made = 0

    def around(self, make: Callable[[], None]) -> None:
        number = self.made
        self.made += 1
        if number in self._at and not self._done:
            self._act()
        make()
        if number in self._at and self._done:
            self._act()


class _Wrapped(Kind[Any]):
    def __init__(self, kind: Kind[Any], sabotage: Sabotage) -> None:
        self.resource = kind.resource
        self._kind = kind
        self._sabotage = sabotage

    def desired(self, wanted: Wanted) -> Iterable[Any]:
        return self._kind.desired(wanted)

    def observe(self, seen: Snapshot, scope: Sequence[Any]) -> Iterable[Any]:
        return self._kind.observe(seen, scope)

    def prepare(self, kernel: Kernel, before: Any, after: Any) -> None:
        self._kind.prepare(kernel, before, after)

    def settled(self, kernel: Kernel, befores: Sequence[Any]) -> None:
        self._kind.settled(kernel, befores)

    def make(self, kernel: Kernel, before: Any, after: Any) -> None:
        self._sabotage.around(lambda: self._kind.make(kernel, before, after))


@contextmanager
def sabotaged(
    monkeypatch: pytest.MonkeyPatch, act: Act, *at: int, done: bool = False
) -> Iterator[Sabotage]:
    """Runs meanwhile have ``act`` called at the changes numbered ``at``, undo included."""
    sabotage = Sabotage(act, set(at), done=done)
    with monkeypatch.context() as patch:
        wrapped = {name: _Wrapped(kind, sabotage) for name, kind in all_kinds().items()}
        patch.setattr(session, "all_kinds", lambda: wrapped)
        yield sabotage


def raising(error: BaseException) -> Act:
    def act() -> None:
        raise error

    return act


def refusal() -> KernelError:
    return KernelError("the kernel says no", errno.EBUSY)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def in_a_child_that_dies(run: Act) -> None:
    """Call ``run`` in a fork, which must not get to its end."""
    child = os.fork()
    if child == 0:
        try:
            run()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def killed(
    host: Host, monkeypatch: pytest.MonkeyPatch, *arguments: str, at: int, done: bool
) -> None:
    """Play one run that is killed at one of its changes, before or after it is made."""

    def run() -> None:
        with sabotaged(monkeypatch, die, at, done=done):
            host.run(*arguments)

    in_a_child_that_dies(run)


def killed_on_the_way_back(
    host: Host, monkeypatch: pytest.MonkeyPatch, *arguments: str, changes: int, back: int
) -> None:
    """Play one run whose last change is refused, and that is killed at one of its undos."""
    acts = iter([raising(refusal()), die])

    def act() -> None:
        next(acts)()

    def run() -> None:
        with sabotaged(monkeypatch, act, changes - 1, changes + back):
            host.run(*arguments)

    in_a_child_that_dies(run)


def later_version(patch: pytest.MonkeyPatch) -> None:
    """Have the BPF programs of a later version: another digest, the same meaning."""
    source = programs.program_source
    patch.setattr(programs, "program_source", lambda *of: source(*of) + "\n/* later */\n")
    programs.source_digest.cache_clear()


def this_version() -> None:
    """To be called once ``patch`` is undone."""
    programs.source_digest.cache_clear()
