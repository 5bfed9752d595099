"""Which state directory has the record of what is ours in a network namespace.

What is in the kernel carries our sign, but not the name of a directory. So a run with a
``--state-dir`` of its own leaves a note in the default one before it changes anything, and
a run with another directory can tell that somebody else's record goes with what it sees.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from netplan_tproxy.paths import DEFAULT_STATE
from netplan_tproxy.state.store import Store

_NOTE = "elsewhere.json"
_RECORDS = ("ledger.json", "journal.jsonl")


@dataclass(frozen=True)
class Owner:
    """Another state directory with a record of this network namespace, and its site's name."""

    root: str
    site: str


class OwnerNote:
    """The note of one state directory; ``root`` as in ``--state-dir``."""

    def __init__(self, root: str, netns: int) -> None:
        self._root = os.path.realpath(root)
        self._netns = netns
        self._is_default = self._root == os.path.realpath(DEFAULT_STATE)
        self._store = Store(DEFAULT_STATE, netns)

    def leave(self) -> None:
        """Write down that the record is here. Raises OSError."""
        if not self._is_default and may_use_default():
            self._store.replace(_NOTE, {"root": self._root})

    def take_away(self) -> None:
        """Nothing is on record here any more; what can't be removed says so by itself."""
        if not self._is_default and may_use_default():
            with contextlib.suppress(OSError):
                self._store.remove(_NOTE)

    def tidy(self) -> None:
        """Remove a note that leads nowhere any more, in the default directory. Raises OSError."""
        if self._is_default and self._store.values(_NOTE) is not None and self.other() is None:
            self._store.remove(_NOTE)

    def other(self) -> Owner | None:
        """Find another directory with a record of this namespace. Raises TproxyError."""
        if not may_use_default():
            return None
        roots = [] if self._is_default else [DEFAULT_STATE]
        note = self._store.values(_NOTE)
        if note is not None and isinstance(note.get("root"), str):
            roots.append(note["root"])
        for root in roots:
            if os.path.realpath(root) == self._root:
                continue
            store = Store(root, self._netns)
            ledger = store.values(_RECORDS[0])
            if (ledger is not None and ledger.get("owned")) or store.read(_RECORDS[1]):
                site = (ledger or {}).get("site") or {}
                return Owner(root, str(site.get("name", "")))
        return None


def may_use_default() -> bool:
    """Whether this user can write to the default place: root can, and who was given it."""
    place = Path(DEFAULT_STATE)
    return os.access(place if place.is_dir() else place.parent, os.W_OK | os.X_OK)
