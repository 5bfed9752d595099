"""Lock, journal and ledger of one network namespace, in /run/netplan-tproxy/NETNS/.

/run is a tmpfs: the state must not outlive the kernel objects it describes. The boot id
in each file guards against a directory that does.

- ``lock``: held (flock(2)) during a run; a dead process holds nothing.
- ``ledger.json``: what we own, and what was there before; replaced by rename.
- ``journal.jsonl``: the run under way: its changes with both ends, then an intent a line
  before each one is made. A journal that is found by a later run means that its writer
  was killed; undoing the intended changes, last first, leads back to the ledger.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from netplan_tproxy.errors import LockedError, TproxyError
from netplan_tproxy.kinds import Kinds, from_json
from netplan_tproxy.model import Change, Id, Ledger, Owned, to_json

FORMAT = 1
DEFAULT_ROOT = "/run/netplan-tproxy"


class State:
    """The state directory of one network namespace. ``root`` as in ``--state-dir``."""

    def __init__(self, root: str, netns: int, kinds: Kinds) -> None:
        self._root = Path(root)
        self._directory = self._root / str(netns)
        self._kinds = kinds
        self._stamp = {"format": FORMAT, "boot": _boot_id()}

    @contextlib.contextmanager
    def lock(self, timeout: float) -> Iterator[None]:
        """Hold the lock. Raises LockedError after ``timeout`` seconds."""
        self._make_directory()
        fd = _locked(self._directory / "lock", time.monotonic() + timeout)
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            self._remove_when_empty()
            os.close(fd)

    def _make_directory(self) -> None:
        try:
            for directory in (self._root, self._directory):
                with contextlib.suppress(FileExistsError):
                    directory.mkdir(mode=0o700)
                status = directory.lstat()
                private = status.st_uid == os.geteuid() and not status.st_mode & 0o022
                if not directory.is_dir() or directory.is_symlink() or not private:
                    message = f"state directory {directory}: not ours alone, nothing was touched"
                    raise TproxyError(message)
        except OSError as refusal:
            message = f"state directory {self._directory}: {refusal.strerror}, nothing was touched"
            raise TproxyError(message) from refusal

    def _remove_when_empty(self) -> None:
        with contextlib.suppress(OSError):
            if {path.name for path in self._directory.iterdir()} == {"lock"}:
                (self._directory / "lock").unlink()
                self._directory.rmdir()
                self._root.rmdir()

    # ledger

    def ledger(self) -> dict[Id, Owned]:
        """Read what we own; empty when nothing was ever applied (or in another boot)."""
        values = self._read_json("ledger.json")
        found = {}
        try:
            for entry in values.get("owned", []) if values else []:
                ours = from_json(self._kinds, entry["ours"])
                if ours is not None:
                    found[ours.id] = Owned(ours, from_json(self._kinds, entry["before"]))
        except (KeyError, TypeError, AttributeError) as nonsense:
            message = f"ledger {self._directory / 'ledger.json'}: not readable ({nonsense!r})"
            raise TproxyError(message) from nonsense
        return found

    def _write_ledger(self, ledger: Ledger) -> None:
        path = self._directory / "ledger.json"
        if not ledger:
            path.unlink(missing_ok=True)
            return
        owned = [
            {"ours": to_json(mine.ours), "before": to_json(mine.before)} for mine in ledger.values()
        ]
        aside = path.with_suffix(".new")
        _write(aside, json.dumps({**self._stamp, "owned": owned}, indent=1) + "\n", os.O_TRUNC)
        aside.rename(path)
        _sync_directory(self._directory)

    def _read_json(self, name: str) -> dict[str, Any] | None:
        try:
            text = (self._directory / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            values = json.loads(text)
        except ValueError as nonsense:
            message = f"{self._directory / name}: not readable ({nonsense})"
            raise TproxyError(message) from nonsense
        return values if self._of_this_boot(values) else None

    def _of_this_boot(self, values: object) -> bool:
        return isinstance(values, dict) and self._stamp.items() <= values.items()

    # journal

    @property
    def _journal(self) -> Path:
        return self._directory / "journal.jsonl"

    def begin(self, changes: Sequence[Change]) -> None:
        """Write down all changes of a run, with both their ends, before the first."""
        pairs = [[to_json(change.before), to_json(change.after)] for change in changes]
        _write(self._journal, json.dumps({**self._stamp, "changes": pairs}) + "\n", os.O_TRUNC)
        _sync_directory(self._directory)

    def intend(self, index: int) -> None:
        """Write down that change number ``index`` is being made."""
        _write(self._journal, f"{index}\n", os.O_APPEND)

    def commit(self, ledger: Ledger) -> None:
        """Make ``ledger`` the truth; from here on the run counts as done."""
        self._write_ledger(ledger)
        self.abandon()

    def abandon(self) -> None:
        """Forget the run under way: everything is as before."""
        self._journal.unlink(missing_ok=True)

    def interrupted(self) -> list[Change]:
        """Give the changes that a killed run had begun; empty when there was none."""
        try:
            first, *lines = self._journal.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        except ValueError:
            first, lines = "", []
        try:
            header = json.loads(first)
            if not self._of_this_boot(header):
                self.abandon()
                return []
            pairs = [
                Change(from_json(self._kinds, before), from_json(self._kinds, after))
                for before, after in header["changes"]
            ]
            return [pairs[int(line)] for line in lines]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            # The header is synced before anything is touched: a torn one means nothing was.
            aside = self._journal.with_suffix(".unreadable")
            self._journal.rename(aside)
            return []


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _locked(path: Path, deadline: float) -> int:
    """Open and lock ``path``; retried when its holder removed it meanwhile."""
    while True:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            _wait_for(fd, deadline)
            if path.exists() and os.path.samestat(os.fstat(fd), path.lstat()):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _wait_for(fd: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
                message = f"another run holds the lock (process {holder}), nothing was touched"
                raise LockedError(message) from None
            time.sleep(0.05)
        else:
            return


def _write(path: Path, text: str, how: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | how
    with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
