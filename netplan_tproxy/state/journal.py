"""The journal of the run under way: its changes with both ends, then what it has begun.

``journal.jsonl``: a header, then a line for each range of changes before it is made:
``7`` or ``7-1006``. A line without its end was being written when its writer was killed: a
header means that nothing was touched yet, a range that none of its changes was begun.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from netplan_tproxy.errors import TproxyError
from netplan_tproxy.resource.kind import Kinds, from_json
from netplan_tproxy.resource.values import Change, to_json
from netplan_tproxy.state.store import Store, Values
from netplan_tproxy.system.files import write_file

NAME = "journal.jsonl"


class JournalFile:
    """``journal.jsonl``; a run that was not killed leaves none."""

    def __init__(self, store: Store, kinds: Kinds) -> None:
        self._store = store
        self._kinds = kinds

    def begin(self, changes: Sequence[Change]) -> None:
        """Write down all changes of a run, before the first. Raises TproxyError."""
        pairs = [[to_json(change.before), to_json(change.after)] for change in changes]
        values = {**self._store.stamp, "run": os.urandom(8).hex(), "changes": pairs}
        path = self._store.path(NAME)
        try:
            write_file(path, json.dumps(values) + "\n", os.O_TRUNC)
        except OSError as refusal:
            message = f"{path}: {refusal.strerror}; nothing was touched"
            raise TproxyError(message) from refusal
        self._store.sync()

    def intend(self, first: int, last: int) -> None:
        """Write down that the changes ``first`` to ``last`` are being made. Raises OSError."""
        line = f"{first}\n" if first == last else f"{first}-{last}\n"
        write_file(self._store.path(NAME), line, os.O_APPEND)

    def run(self) -> str | None:
        """Name the run that wrote it; None without one of this boot. Raises DamagedError."""
        header, _ = self._parsed()
        return str(header["run"]) if header and "run" in header else None

    def begun(self) -> list[Change]:
        """Give the changes that were begun, done or not. Raises DamagedError."""
        header, lines = self._parsed()
        if not header:
            return []
        try:
            _ = header["run"]
            changes = [
                Change(from_json(self._kinds, before), from_json(self._kinds, after))
                for before, after in header["changes"]
            ]
            return [changes[index] for index in _indexes(lines)]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as nonsense:
            raise self._store.unreadable(NAME) from nonsense

    def set_aside(self) -> Path:
        """Keep one that can't be read under another name; give its path. Raises OSError."""
        path = self._store.path(NAME)
        aside = path.with_name(f"journal.damaged-{os.urandom(4).hex()}")
        path.rename(aside)
        return aside

    def remove(self) -> None:
        """Remove it; none is fine. Raises OSError."""
        self._store.remove(NAME)

    def exists(self) -> bool:
        """Whether there is one, of whatever boot."""
        return os.path.lexists(self._store.path(NAME))

    def _parsed(self) -> tuple[Values | None, list[str]]:
        lines = self._store.read(NAME).split("\n")[:-1]
        try:
            header: Any = json.loads(lines[0]) if lines else None
            return (header if lines and self._store.of_this_boot(header) else None), lines[1:]
        except ValueError as nonsense:
            raise self._store.unreadable(NAME) from nonsense


def _indexes(lines: Sequence[str]) -> Iterator[int]:
    """Read the ranges. Raises ValueError."""
    for line in lines:
        first, dash, last = line.partition("-")
        yield from range(int(first), int(last if dash else first) + 1)
