"""The state of one network namespace, in /run/netplan-tproxy/NETNS/: what its files say together.

/run is a tmpfs: the state must not outlive the kernel objects it describes. The boot id
in each file guards against a directory that does.

- ``lock``: held (flock(2)) during a run; a dead process holds nothing.
- ``ledger.json``: what we own, and what was there before; replaced by rename.
- ``journal.jsonl``: the run under way. A journal that is found by a later run means that its
  writer was killed: what it had begun counts as ours then, done or not. It names its run,
  and so does the ledger that came of it: then the run is over, and its journal says nothing.
- ``pending.json``: a change that waits for its confirmation; its journal stays open.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from netplan_tproxy.errors import DamagedError, TproxyError
from netplan_tproxy.paths import DEFAULT_STATE
from netplan_tproxy.resource.kind import Kinds
from netplan_tproxy.resource.values import Change, Id, Ledger, Owned
from netplan_tproxy.state.journal import JournalFile
from netplan_tproxy.state.ledger import LedgerFile
from netplan_tproxy.state.owner import Owner, OwnerNote, may_use_default
from netplan_tproxy.state.pending import Mark, Pending, PendingFile
from netplan_tproxy.state.site_record import SiteRecord
from netplan_tproxy.state.store import Store
from netplan_tproxy.system.process import Process


class State:
    """The state directory of one network namespace. ``root`` as in ``--state-dir``."""

    def __init__(self, root: str, netns: int, kinds: Kinds) -> None:
        self._store = Store(root, netns)
        # Of several state directories over one namespace the runs must not interleave either.
        elsewhere = os.path.realpath(root) != os.path.realpath(DEFAULT_STATE)
        self._common = Store(DEFAULT_STATE, netns) if elsewhere and may_use_default() else None
        self._note = OwnerNote(root, netns)
        self._ledger = LedgerFile(self._store, kinds)
        self._journal = JournalFile(self._store, kinds)
        self._pending = PendingFile(self._store, kinds)

    @contextlib.contextmanager
    def lock(self, timeout: float) -> Iterator[None]:
        """Hold the lock. Raises LockedError after ``timeout`` seconds, TproxyError."""
        with contextlib.ExitStack() as stack:
            if self._common is not None:
                stack.enter_context(self._common.lock(timeout, lambda: None))
            stack.enter_context(self._store.lock(timeout, self._drop_leftovers))
            yield

    def after_fork(self) -> None:
        """Leave the locks to the parent."""
        self._store.after_fork()
        if self._common is not None:
            self._common.after_fork()

    def _drop_leftovers(self) -> None:
        """Remove what says nothing: empty, done with, or of a kernel that is gone."""
        self._pending.forget_left()
        with contextlib.suppress(DamagedError):
            self._note.tidy()
            if self.interrupted() or self.pending():
                return
            self.abandon()
            self._pending.remove()
            # As long as a journal is there, the ledger must say that its run is over.
            if not self.ledger() and not self._journal.exists():
                self._ledger.remove()
                self._note.take_away()

    # what we own

    def ledger(self) -> dict[Id, Owned]:
        """Read what we own; empty when nothing was ever applied (or in another boot)."""
        return self._ledger.owned()

    def site_record(self) -> SiteRecord | None:
        """Read which site file was applied last; None where that is not on record."""
        return self._ledger.site()

    def other_owner(self) -> Owner | None:
        """Find another state directory with a record of this namespace. Raises TproxyError."""
        return self._note.other()

    def commit(self, ledger: Ledger, site: SiteRecord | None = None) -> None:
        """Make ``ledger`` the truth; from here on the run counts as done.

        ``site`` None: the one on record stays. Raises OSError or TproxyError, and then
        nothing has changed.
        """
        self._ledger.write(ledger, site or self.site_record(), self._journal.run())
        with contextlib.suppress(OSError, TproxyError):
            self._drop_leftovers()

    def committed(self, run: str) -> bool:
        """Whether the ledger is the one of this run."""
        return self._ledger.run() == run

    # the run under way

    def begin(self, changes: Sequence[Change]) -> None:
        """Write down all changes of a run, before the first. Raises TproxyError."""
        try:
            self._note.leave()
            self._journal.begin(changes)
        except OSError as refusal:
            message = f"{DEFAULT_STATE}: {refusal.strerror}; nothing was touched"
            raise TproxyError(message) from refusal
        except TproxyError:
            self.abandon()
            raise

    def intend(self, first: int, last: int) -> None:
        """Write down that the changes ``first`` to ``last`` are being made. Raises OSError."""
        self._journal.intend(first, last)

    def abandon(self) -> None:
        """Forget the run under way: everything is as before."""
        # One that stays makes the next run look twice at what it says, no more.
        with contextlib.suppress(OSError):
            self._journal.remove()

    def interrupted(self) -> list[Change]:
        """Give the changes that a killed run had begun; empty when there was none."""
        run = self._journal.run()
        if run is not None and run == self._ledger.run():
            return []
        return self._journal.begun()

    def set_aside(self) -> Path:
        """Keep a journal that can't be read under another name; give its path."""
        return self._journal.set_aside()

    # a change that waits for confirmation

    def hold(
        self,
        ledger: Ledger,
        site: SiteRecord | None,
        deadline: float,
        watchdog: Process | None,
    ) -> str:
        """Write down that the run under way waits until ``deadline``, seconds since boot.

        Gives the name of that run.
        """
        run = self._journal.run() or ""
        self._pending.write(run, deadline, watchdog, ledger, site)
        return run

    def pending(self) -> Pending | None:
        """Read what waits for confirmation; None once it is confirmed or taken back."""
        pending = self._pending.read()
        if pending is None or self._journal.run() != pending.run or self.committed(pending.run):
            return None
        return pending

    def end_time(self) -> None:
        """Let what waits for confirmation go back now."""
        self._pending.end_time()

    def confirm(self, pending: Pending) -> None:
        """Make what was held the truth."""
        self.commit(pending.ledger, pending.site)
        with contextlib.suppress(OSError):
            self.release()

    def pending_mark(self) -> Mark:
        """Hold the mark of what is pending, for who waits for its end."""
        return self._pending.mark()

    def release(self) -> None:
        """Nothing waits for confirmation any more."""
        self._pending.remove()

    def tell_left(self, run: str, left: Sequence[str]) -> None:
        """Write down what this run's change, taken back, left to others."""
        self._pending.tell_left(run, left)

    def left(self, run: str) -> list[str] | None:
        """Read what that was; None: nobody has said that the change went back."""
        return self._pending.left(run)
