"""A change that is made and goes back unless it is confirmed in time (``--confirm``)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from netplan_tproxy.resource.kind import Kinds
from netplan_tproxy.resource.values import Id, Ledger, Owned, ledger_to_json
from netplan_tproxy.state.ledger import owned_in, site_in
from netplan_tproxy.state.site_record import SiteRecord
from netplan_tproxy.state.store import Store
from netplan_tproxy.system.process import Process, since_boot

NAME = "pending.json"
_LEFT = "left.json"


@dataclass(frozen=True)
class Pending:
    """``ledger`` and ``site`` are the truth once ``run`` is confirmed.

    It goes back at ``deadline``, seconds since boot; ``watchdog`` sees to that.
    """

    run: str
    deadline: float
    watchdog: Process
    ledger: dict[Id, Owned]
    site: SiteRecord | None = None

    @property
    def left(self) -> float:
        """Seconds until it goes back."""
        return max(0.0, self.deadline - since_boot())

    @property
    def overdue(self) -> bool:
        """Whether it should have gone back, and nobody is left to do it."""
        return self.left <= 0 and not self.watchdog.alive


class PendingFile:
    """``pending.json``, and ``left.json``: what a change that went back left to others."""

    def __init__(self, store: Store, kinds: Kinds) -> None:
        self._store = store
        self._kinds = kinds

    def write(
        self,
        run: str,
        deadline: float,
        watchdog: Process | None,
        ledger: Ledger,
        site: SiteRecord | None,
    ) -> None:
        """Write down that the change of ``run`` waits. Raises OSError."""
        values = {
            "run": run,
            "deadline": deadline,
            "watchdog": [watchdog.pid, watchdog.started] if watchdog else [0, 0],
            "site": site.to_json() if site else None,
            "owned": ledger_to_json(ledger),
        }
        with self.mark() as replaced:
            self._store.replace(NAME, values)
            replaced.release()

    def read(self) -> Pending | None:
        """Read what waits; None without one of this boot. Raises DamagedError."""
        values = self._store.values(NAME)
        if values is None:
            return None
        try:
            pid, begun = values["watchdog"]
            return Pending(
                str(values["run"]),
                float(values["deadline"]),
                Process(int(pid), int(begun)),
                owned_in(self._store, self._kinds, values, NAME),
                site_in(self._store, values, NAME),
            )
        except (KeyError, TypeError, ValueError) as nonsense:
            raise self._store.unreadable(NAME) from nonsense

    def end_time(self) -> None:
        """Let what waits go back now. Raises OSError, DamagedError.

        Its watchdog may be of another version: what that wrote stays as it is otherwise.
        """
        values = self._store.values(NAME)
        if values is not None:
            with self.mark() as replaced:
                self._store.replace(NAME, {**values, "deadline": 0.0})
                replaced.release()

    def remove(self) -> None:
        """Nothing waits any more. Raises OSError."""
        with self.mark() as mark:
            mark.release()
            self._store.remove(NAME)

    def mark(self) -> Mark:
        """Hold the file open, for who waits for its end."""
        return Mark(self._store.path(NAME))

    def tell_left(self, run: str, left: Sequence[str]) -> None:
        """Write down what the change of ``run``, taken back, left to others. Raises OSError."""
        self._store.replace(_LEFT, {"run": run, "left": list(left)})

    def left(self, run: str) -> list[str] | None:
        """Read what that was; None: nobody has said that the change went back."""
        values = self._store.values(_LEFT) or {}
        return [str(line) for line in values.get("left", [])] if values.get("run") == run else None

    def forget_left(self) -> None:
        """Remove what a run before this one left. Raises OSError."""
        self._store.remove(_LEFT)


class Mark:
    """``pending.json`` as it was seen last, held open: it tells a release from a loss."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._missing = False
        self.refresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.forget()

    def refresh(self) -> bool:
        """Look at the file again; one that is gone (False) is still held."""
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False
        self.forget()
        self._fd = fd
        return True

    def require(self) -> None:
        """Look at the file again under the lock: nobody can have released it, so it is there."""
        self._missing = not self.refresh()

    def release(self) -> None:
        """Empty the file: whoever has it open sees that it was not lost. Raises OSError."""
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)

    @property
    def lost(self) -> bool:
        """Whether the file was there, is gone, and was not released."""
        if self._missing:
            return True
        if self._fd < 0 or os.path.lexists(self._path):
            return False
        return os.fstat(self._fd).st_size > 0

    def forget(self) -> None:
        """Let go of it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
