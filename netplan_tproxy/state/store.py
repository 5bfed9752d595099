"""The files of a state directory: locked, private, stamped with the boot and the format."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from netplan_tproxy.errors import DamagedError, TproxyError
from netplan_tproxy.system.files import (
    locked,
    require_private,
    require_safe_place,
    sync_directory,
    write_file,
)

FORMAT = 1
_MOST_TRIES = 100
_ASIDE = ".new"  # what a file is called until it is whole

Values = dict[str, Any]


class Store:
    """Files below ``ROOT/NETNS``; each says of which boot it is, and in which format."""

    def __init__(self, root: str, netns: int) -> None:
        self._root = Path(root)
        self._directory = self._root / str(netns)
        self.stamp: Values = {"format": FORMAT, "boot": _boot_id()}
        self._lock_fd = -1

    def path(self, name: str) -> Path:
        """Where a file is."""
        return self._directory / name

    @contextlib.contextmanager
    def lock(self, timeout: float, tidy: Callable[[], None]) -> Iterator[None]:
        """Hold the lock; ``tidy`` is called under it first.

        Raises LockedError after ``timeout`` seconds, TproxyError where the directory is not
        ours alone.
        """
        deadline = time.monotonic() + timeout
        fd = None
        for _ in range(_MOST_TRIES):
            # Whoever ends a run removes the empty directory: it may go between two steps.
            fd = locked(self.path("lock"), deadline) if self._make_directory() else None
            if fd is not None:
                break
        else:
            message = f"{self._directory}: removed again and again; nothing was touched"
            raise TproxyError(message)
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            tidy()
            self._lock_fd = fd
            yield
        finally:
            self._lock_fd = -1
            self._remove_when_empty(fd)
            os.close(fd)

    def after_fork(self) -> None:
        """Leave the lock to the parent: a descriptor that is kept would hold it too."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def replace(self, name: str, values: Values) -> None:
        """Write a file in one step, stamped. Raises OSError, and then the old one stands."""
        path = self.path(name)
        aside = path.with_suffix(_ASIDE)
        try:
            write_file(aside, json.dumps({**self.stamp, **values}) + "\n", os.O_TRUNC)
            aside.rename(path)
        except OSError:
            with contextlib.suppress(OSError):
                aside.unlink()
            raise
        self.sync()

    def sync(self) -> None:
        """Bring the names of the files to the disk, where that is possible.

        Who is killed needs none of it, and after a loss of power the boot id says that the
        files mean nothing. So a refusal changes nothing: the rename has taken effect.
        """
        with contextlib.suppress(OSError):
            sync_directory(self._directory)

    def remove(self, name: str) -> None:
        """Remove a file; none is fine. Raises OSError."""
        self.path(name).unlink(missing_ok=True)

    def values(self, name: str) -> Values | None:
        """Parse a file; None when there is none of this boot. Raises TproxyError."""
        text = self.read(name)
        if not text:
            return None
        try:
            values = json.loads(text)
            return values if self.of_this_boot(values) else None
        except ValueError as nonsense:
            raise self.unreadable(name) from nonsense

    def read(self, name: str) -> str:
        """Read a whole file; "" when there is none. Raises TproxyError."""
        path = self.path(name)
        require_safe_place(self._root)
        try:
            # Without O_NONBLOCK opening a FIFO waits for a writer.
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(fd, encoding="utf-8") as file:
                require_private(self._root)
                require_private(self._directory)
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise self.unreadable(name)
                return file.read()
        except FileNotFoundError:
            return ""
        except UnicodeError as nonsense:
            raise self.unreadable(name) from nonsense
        except OSError as refusal:
            message = f"{path}: {refusal.strerror}; nothing was touched"
            raise TproxyError(message) from refusal

    def unreadable(self, name: str) -> DamagedError:
        """Give the error for a file that says nothing sensible."""
        return DamagedError(
            f"{self.path(name)}: damaged, or of another version; move it away and run "
            "again: what carries our sign is found without it; nothing was touched"
        )

    def of_this_boot(self, values: Any) -> bool:
        """Whether it describes this kernel. Raises ValueError for a format we don't know."""
        if not isinstance(values, dict) or not isinstance(values.get("boot"), str):
            raise ValueError(values)  # noqa: TRY004 - what the text says is wrong, not its type
        if values.get("boot") != self.stamp["boot"]:
            return False
        if values.get("format") != FORMAT:
            raise ValueError(values.get("format"))
        return True

    def _make_directory(self) -> bool:
        """Make it; False where its parent went meanwhile. Raises TproxyError."""
        try:
            require_safe_place(self._root)
            for directory in (self._root, self._directory):
                with contextlib.suppress(FileExistsError):
                    directory.mkdir(mode=0o700)
                require_private(directory)
        except OSError as refusal:
            # The last one of another namespace removes the root.
            if isinstance(refusal, FileNotFoundError) and refusal.filename != str(self._root):
                return False
            message = f"state directory {self._directory}: {refusal.strerror}; nothing was touched"
            raise TproxyError(message) from refusal
        return True

    def _remove_when_empty(self, fd: int) -> None:
        with contextlib.suppress(OSError):
            # Somebody may have removed the directory, and another run made it again: its lock
            # is not ours to remove.
            ours = os.path.samestat(os.fstat(fd), self.path("lock").lstat())
            rest = {path.name for path in self._directory.iterdir()} - {"lock"}
            # Who is killed before the rename leaves what nobody ever reads.
            if ours and all(name.endswith(_ASIDE) for name in rest):
                for name in (*rest, "lock"):
                    self.remove(name)
                self._directory.rmdir()
                self._root.rmdir()


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
