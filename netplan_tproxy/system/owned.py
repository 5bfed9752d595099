"""Directories that are ours alone, held by descriptor: nobody can lead us out of them.

A path is looked up anew at each use, and somebody may have put a link into it since it was
looked at. So each level is opened from the one above it, never through a link, and what it is
(its owner, its mode) is asked of the descriptor. What others may write to is refused, and so
is what belongs to them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from netplan_tproxy.errors import TproxyError
from netplan_tproxy.system.closing import Closing

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OTHERS_MAY_WRITE = 0o022
_NO_DIRECTORY = frozenset({errno.ENOTDIR, errno.ELOOP})
_PRIVATE = 0o700


class UnsafeError(TproxyError):
    """Somebody else could lead this process astray; the message names the place."""


class Owned(Closing):
    """A directory. Close it, or use ``with``. Its methods raise OSError."""

    def __init__(self, fd: int, path: Path) -> None:
        self._fd = fd
        self.path = path

    def __del__(self) -> None:
        self.close()

    def child(self, name: str, *, make: bool = False) -> Owned | None:
        """Open a directory in it that is ours alone; None: there is none.

        ``make`` makes it, with mode 0700 whatever the umask. Raises UnsafeError.
        """
        path = self.path / name
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, _PRIVATE, dir_fd=self._fd)
        try:
            fd = os.open(name, _OPEN, dir_fd=self._fd)
        except FileNotFoundError:
            return None
        except OSError as refusal:
            if refusal.errno in _NO_DIRECTORY:
                raise UnsafeError(f"{path}: is not a directory, or is a link to one") from None
            raise
        directory = Owned(fd, path)
        status = os.fstat(fd)
        hazard = not_ours_alone(path, status)
        if hazard:
            directory.close()
            raise UnsafeError(hazard)
        if make and status.st_uid == os.geteuid() and not status.st_mode & stat.S_IWUSR:
            os.fchmod(fd, _PRIVATE)
        return directory

    def names(self) -> list[str]:
        """Give the names in it, sorted."""
        return sorted(os.listdir(self._fd))  # noqa: PTH208 - a descriptor is no path

    def files(self) -> list[str]:
        """Give the names of the files in it that are ours. Raises UnsafeError for a stranger's."""
        names = []
        for name in self.names():
            try:
                status = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if status.st_uid not in _trusted():
                raise UnsafeError(f"{self.path / name}: belongs to uid {status.st_uid}")
            if stat.S_ISREG(status.st_mode):
                names.append(name)
        return names

    def place(self, name: str) -> str:
        """Give a path of a file in it for system calls that take nothing else.

        It leads through the descriptor: whatever the directory is called by then.
        """
        return f"/proc/self/fd/{self._fd}/{name}"

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, in place of what has it."""
        os.rename(old, new, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def unlink(self, name: str) -> None:
        """Remove a file; none is fine."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fd)

    def rmdir(self, name: str) -> bool:
        """Remove a directory that is empty; False for one that is not."""
        try:
            os.rmdir(name, dir_fd=self._fd)
        except FileNotFoundError:
            return True
        except OSError as refusal:
            if refusal.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY}:
                return False
            raise
        return True

    def close(self) -> None:
        """Close it; twice is fine."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def shared(path: Path) -> Owned:
    """Open a directory in which others may have things too, but can't touch ours.

    It belongs to root or to us. Where others may write it is sticky (inode(7)): only its owner
    and an entry's own can rename or remove that. Raises OSError, UnsafeError.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    hazard = _hazard(path, os.fstat(fd))
    if hazard:
        os.close(fd)
        raise UnsafeError(hazard)
    return Owned(fd, path)


def hazard_above(path: Path) -> str:
    """Say who else could put something else in place of ``path``; "": nobody.

    Looks at each directory above it, and at those that a link among them leads to.
    Raises OSError.
    """
    given = Path(os.path.abspath(path)).parent  # noqa: PTH100 - links stay
    for whole in dict.fromkeys((given, Path(os.path.realpath(given)))):
        for level in (*reversed(whole.parents), whole):
            try:
                hazard = _hazard(level, level.lstat())
            except (FileNotFoundError, NotADirectoryError):
                break
            if hazard:
                return hazard
    return ""


def hazard_of(path: Path) -> str:
    """Say who else could change what a file says; "": nobody. Raises OSError."""
    return not_ours_alone(path, path.stat()) or hazard_above(path)


def _trusted() -> set[int]:
    return {0, os.geteuid()}


def not_ours_alone(path: Path, status: os.stat_result) -> str:
    """Say who else could write to what ``status`` is of; "": nobody."""
    if status.st_uid not in _trusted():
        return f"{path}: belongs to uid {status.st_uid}"
    if status.st_mode & _OTHERS_MAY_WRITE:
        return f"{path}: others may write to it (mode {stat.S_IMODE(status.st_mode):04o})"
    return ""


def _hazard(path: Path, status: os.stat_result) -> str:
    if status.st_uid not in _trusted():
        return f"{path}: belongs to uid {status.st_uid}, who may replace what is in it"
    writable = status.st_mode & _OTHERS_MAY_WRITE and not stat.S_ISLNK(status.st_mode)
    if writable and not status.st_mode & stat.S_ISVTX:
        mode = stat.S_IMODE(status.st_mode)
        return f"{path}: others may replace what is in it (mode {mode:04o})"
    return ""
