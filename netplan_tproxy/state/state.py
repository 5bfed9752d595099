"""Lock, journal and ledger of one network namespace, in /run/netplan-tproxy/NETNS/.

/run is a tmpfs: the state must not outlive the kernel objects it describes. The boot id
in each file guards against a directory that does.

- ``lock``: held (flock(2)) during a run; a dead process holds nothing.
- ``ledger.json``: what we own, and what was there before; replaced by rename.
- ``journal.jsonl``: the run under way: its changes with both ends, then an intent a line
  before each one is made. A journal that is found by a later run means that its writer
  was killed: what it had begun counts as ours then, done or not. It names its run, and
  so does the ledger that came of it: then the run was done, and its journal says nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netplan_tproxy.errors import DamagedError, TproxyError
from netplan_tproxy.resource.kind import Kinds, from_json
from netplan_tproxy.resource.values import Change, Id, Ledger, Owned, to_json
from netplan_tproxy.state import site_record as applied
from netplan_tproxy.state.site_record import Applied
from netplan_tproxy.state.store import Records
from netplan_tproxy.system.files import sync_directory, write_file
from netplan_tproxy.system.watchdog import Process, now


@dataclass(frozen=True)
class Pending:
    """A change that is made and goes back at ``deadline``, seconds since boot."""

    run: str
    deadline: float
    watchdog: Process
    ledger: dict[Id, Owned]
    site: Applied | None = None

    @property
    def left(self) -> float:
        """Seconds until it goes back."""
        return max(0.0, self.deadline - now())


class State(Records):
    """The state directory of one network namespace. ``root`` as in ``--state-dir``."""

    def __init__(self, root: str, netns: int, kinds: Kinds) -> None:
        super().__init__(root, netns)
        self._kinds = kinds
        # Written down with the next ledger; None: what is written down already stays.
        self.site: Applied | None = None

    def _drop_leftovers(self) -> None:
        """Remove what says nothing: empty, done with, or of a kernel that is gone."""
        (self._directory / "left.json").unlink(missing_ok=True)
        with contextlib.suppress(DamagedError):
            if self.interrupted() or self.pending():
                return
            self.abandon()
            self.release()
            if not self.ledger():
                (self._directory / "ledger.json").unlink(missing_ok=True)

    # ledger

    def ledger(self) -> dict[Id, Owned]:
        """Read what we own; empty when nothing was ever applied (or in another boot)."""
        return self._owned(self._values("ledger.json"), "ledger.json")

    def _owned(self, values: dict[str, Any] | None, name: str) -> dict[Id, Owned]:
        found = {}
        try:
            for entry in values["owned"] if values else []:
                ours = from_json(self._kinds, entry["ours"])
                if ours is not None:
                    found[ours.id] = Owned(ours, from_json(self._kinds, entry["before"]))
        except (KeyError, TypeError, AttributeError, ValueError) as nonsense:
            raise self._unreadable(name) from nonsense
        return found

    def _write_ledger(self, ledger: Ledger, run: str | None) -> None:
        owned = [
            {"ours": to_json(mine.ours), "before": to_json(mine.before)} for mine in ledger.values()
        ]
        site = self.site or self.applied()
        values = {"run": run, "site": site.to_json() if site else None, "owned": owned}
        self._replace("ledger.json", {**self._stamp, **values})

    def applied(self) -> Applied | None:
        """Read which site file the ledger came of; None where that is not on record."""
        return self._site(self._values("ledger.json"), "ledger.json")

    def _site(self, values: dict[str, Any] | None, name: str) -> Applied | None:
        try:
            return applied.from_json(values.get("site")) if values else None
        except (KeyError, TypeError, ValueError) as nonsense:
            raise self._unreadable(name) from nonsense

    def set_aside(self) -> Path:
        """Keep a journal that can't be read under another name; give its path."""
        aside = self._journal.with_name(f"journal.damaged-{os.urandom(4).hex()}")
        self._journal.rename(aside)
        return aside

    # a change that awaits its confirmation

    def hold(self, ledger: Ledger, deadline: float, watchdog: Process | None) -> str:
        """Write down that the run under way waits until ``deadline``, seconds since boot.

        Gives the name of that run.
        """
        header, _ = self._journaled()
        run = str(header["run"]) if header else ""
        pending = {
            **self._stamp,
            "run": run,
            "deadline": deadline,
            "watchdog": [watchdog.pid, watchdog.started] if watchdog else [0, 0],
            "site": self.site.to_json() if self.site else None,
            "owned": [
                {"ours": to_json(mine.ours), "before": to_json(mine.before)}
                for mine in ledger.values()
            ],
        }
        self._replace("pending.json", pending)
        return run

    def pending(self) -> Pending | None:
        """Read what awaits its confirmation; None once it is confirmed or taken back."""
        values = self._values("pending.json")
        header, _ = self._journaled()
        run = str(values.get("run")) if values else ""
        if values is None or header is None or header.get("run") != run or self.committed(run):
            return None
        try:
            pid, begun = values["watchdog"]
            return Pending(
                str(values["run"]),
                float(values["deadline"]),
                Process(int(pid), int(begun)),
                self._owned(values, "pending.json"),
                self._site(values, "pending.json"),
            )
        except (KeyError, TypeError, ValueError) as nonsense:
            raise self._unreadable("pending.json") from nonsense

    def confirm(self, pending: Pending) -> None:
        """Make what was held the truth."""
        self.site = pending.site
        self.commit(pending.ledger)
        with contextlib.suppress(OSError):
            self.release()

    def release(self) -> None:
        """Nothing awaits its confirmation any more."""
        (self._directory / "pending.json").unlink(missing_ok=True)

    def tell_left(self, run: str, left: Sequence[str]) -> None:
        """Write down what this run's change, taken back, left to others."""
        if left:
            self._replace("left.json", {**self._stamp, "run": run, "left": list(left)})

    def left(self, run: str) -> list[str]:
        """Read what that was."""
        values = self._values("left.json") or {}
        return [str(line) for line in values.get("left", [])] if values.get("run") == run else []

    def committed(self, run: str) -> bool:
        """Whether the ledger is the one of this run."""
        return (self._values("ledger.json") or {}).get("run") == run

    # journal

    @property
    def _journal(self) -> Path:
        return self._directory / "journal.jsonl"

    def begin(self, changes: Sequence[Change]) -> None:
        """Write down all changes of a run, with both their ends, before the first."""
        pairs = [[to_json(change.before), to_json(change.after)] for change in changes]
        try:
            values = {**self._stamp, "run": os.urandom(8).hex(), "changes": pairs}
            write_file(self._journal, json.dumps(values) + "\n", os.O_TRUNC)
            sync_directory(self._directory)
        except OSError as refusal:
            self.abandon()
            message = f"{self._journal}: {refusal.strerror}; nothing was touched"
            raise TproxyError(message) from refusal

    def intend(self, index: int) -> None:
        """Write down that change number ``index`` is being made."""
        write_file(self._journal, f"{index}\n", os.O_APPEND)

    def commit(self, ledger: Ledger) -> None:
        """Make ``ledger`` the truth; from here on the run counts as done."""
        header, _ = self._journaled()
        self._write_ledger(ledger, header.get("run") if header else None)
        with contextlib.suppress(OSError, TproxyError):
            self._drop_leftovers()

    def abandon(self) -> None:
        """Forget the run under way: everything is as before."""
        # One that stays makes the next run look twice at what it says, no more.
        with contextlib.suppress(OSError):
            self._journal.unlink()

    def interrupted(self) -> list[Change]:
        """Give the changes that a killed run had begun; empty when there was none."""
        header, lines = self._journaled()
        if not header:
            return []
        done = self._values("ledger.json") or {}
        try:
            if header["run"] == done.get("run"):
                return []
            pairs = [
                Change(from_json(self._kinds, before), from_json(self._kinds, after))
                for before, after in header["changes"]
            ]
            return [pairs[int(line)] for line in lines]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as nonsense:
            raise self._unreadable("journal.jsonl") from nonsense

    def _journaled(self) -> tuple[dict[str, Any] | None, list[str]]:
        """Read the header of this boot's journal, None without one, and the intents."""
        # A line without its end was being written when its writer was killed: a header means
        # that nothing was touched yet, an intent that its change was not begun.
        lines = self._read("journal.jsonl").split("\n")[:-1]
        try:
            header = json.loads(lines[0]) if lines else None
            return (header if lines and self._of_this_boot(header) else None), lines[1:]
        except ValueError as nonsense:
            raise self._unreadable("journal.jsonl") from nonsense
