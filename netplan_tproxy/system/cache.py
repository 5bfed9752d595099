"""Files that save work, and are never needed: what is not surely ours and whole is not there.

Nothing here raises for a sick disk: whoever asks does the work anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from netplan_tproxy.errors import TproxyError
from netplan_tproxy.system.owned import Owned, UnsafeError, hazard_above, not_ours_alone, shared

_log = logging.getLogger(__name__)
_DIGEST = 64  # hexadecimal digits of SHA-256
_LARGEST = 1 << 24
MOST = 32
"""How many entries are kept: the oldest go."""


class Cache:
    """A folder of entries by name; one that others could have written to is not read."""

    def __init__(self, folder: str) -> None:
        """``folder`` "": keep nothing, know nothing."""
        self._folder = Path(folder) if folder else None

    def read(self, name: str) -> bytes | None:
        """Read an entry; None where there is none that can be trusted."""
        try:
            with self._opened() as folder:
                if folder is None or name not in folder.files():
                    return None
                data = _read(folder, name)
        except (OSError, TproxyError) as failure:
            _log.debug("cache: read %s: %s", name, failure)
            return None
        digest, entry = data[:_DIGEST], data[_DIGEST:]
        if digest != _digest(name, entry):
            _log.debug("cache: %s is damaged: not used", name)
            return None
        return entry

    def write(self, name: str, entry: bytes) -> None:
        """Keep an entry, if that can be."""
        try:
            with self._opened(make=True) as folder:
                if folder is not None:
                    _write(folder, name, _digest(name, entry) + entry)
                    _tidy(folder)
        except (OSError, TproxyError) as failure:
            _log.debug("cache: write %s: %s", name, failure)

    @contextlib.contextmanager
    def _opened(self, *, make: bool = False) -> Iterator[Owned | None]:
        """Give the folder, while it lasts; None where there is none."""
        if self._folder is None:
            yield None
            return
        hazard = hazard_above(self._folder)
        if hazard:
            raise UnsafeError(hazard)
        with shared(self._folder.parent) as above:
            folder = above.child(self._folder.name, make=make)
        with folder or contextlib.nullcontext():
            yield folder


def _digest(name: str, entry: bytes) -> bytes:
    """Give the digest that an entry begins with; it holds its name: another's is none."""
    return hashlib.sha256(name.encode() + b"\0" + entry).hexdigest().encode()


def _read(folder: Owned, name: str) -> bytes:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    with os.fdopen(os.open(folder.place(name), flags), "rb") as file:
        hazard = not_ours_alone(folder.path / name, os.fstat(file.fileno()))
        if hazard:
            raise UnsafeError(hazard)
        return file.read(_LARGEST)


def _write(folder: Owned, name: str, data: bytes) -> None:
    aside = f".{name}.{os.getpid()}"
    folder.unlink(aside)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(folder.place(aside), flags, 0o600), "wb") as file:
            file.write(data)
        folder.rename(aside, name)
    except BaseException:
        folder.unlink(aside)
        raise


def _tidy(folder: Owned) -> None:
    """Remove what a killed run left, and the oldest entries where there are too many."""
    ages = {name: os.stat(folder.place(name)).st_mtime_ns for name in folder.files()}  # noqa: PTH116
    entries = sorted((name for name in ages if name[0] != "."), key=ages.__getitem__)
    for name in (*(ages.keys() - set(entries)), *entries[:-MOST]):
        folder.unlink(name)
