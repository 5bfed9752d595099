"""Files that only this user can change: locked, synced, and never through a symbolic link."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from pathlib import Path

from netplan_tproxy.errors import LockedError, TproxyError
from netplan_tproxy.system.owned import hazard_above


def require_safe_place(directory: Path) -> None:
    """Raise TproxyError where somebody else could put another one in its place."""
    hazard = hazard_above(directory)
    if hazard:
        message = f"state directory {directory}: {hazard}; nothing was touched"
        raise TproxyError(message)


def require_private(directory: Path) -> None:
    """Raise TproxyError unless only this user can create files there."""
    status = directory.lstat()
    private = status.st_uid == os.geteuid() and not status.st_mode & 0o022
    if not (stat.S_ISDIR(status.st_mode) and private):
        message = f"state directory {directory}: not ours alone; nothing was touched"
        raise TproxyError(message)


def locked(path: Path, deadline: float) -> int | None:
    """Open and lock ``path``; return its descriptor, or None if its holder removed it meanwhile.

    Raises LockedError at ``deadline`` (monotonic clock), TproxyError if it can't be opened.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileNotFoundError:
        return None
    except OSError as refusal:
        message = f"{path}: {refusal.strerror}; nothing was touched"
        raise TproxyError(message) from refusal
    try:
        _wait_for(fd, deadline)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(fd), path.lstat()):
                return fd
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def _wait_for(fd: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
                message = f"another run holds the lock (process {holder}); nothing was touched"
                raise LockedError(message) from None
            time.sleep(0.05)
        else:
            return


def make_directories(path: Path, mode: int) -> None:
    """Make a directory and those above it that are missing, whatever the umask. Raises OSError."""
    for level in (*reversed(path.parents), path):
        try:
            level.mkdir(mode)
        except OSError:
            if not level.is_dir():
                raise
        else:
            level.chmod(mode)


def write_new_file(path: Path, text: str, mode: int) -> None:
    """Write a file that must not be there yet, to the disk, whatever the umask. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    # Nobody can open it for writing in between: the umask takes rights away, and no more.
    with os.fdopen(os.open(path, flags, mode), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write_file(path: Path, text: str, how: int) -> None:
    """Write and sync a file; ``how`` is O_TRUNC or O_APPEND. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | how
    with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Sync the names in a directory. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
