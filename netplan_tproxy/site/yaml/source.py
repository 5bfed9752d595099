"""Read files that the user names: never wait on a pipe, never read without end."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

from netplan_tproxy.errors import Place, SiteError, SiteProblem
from netplan_tproxy.system.text import printable

MEBIBYTE = 1024 * 1024
MAX_BYTES = 16 * MEBIBYTE  # of a site file
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_text(path: str) -> str:
    """Return the text of the site file at ``path``, without its byte order mark.

    Raises SiteError with one problem: of the file as a whole, or of a byte in it.
    """
    file = Place(printable(path))
    try:
        data = read_stored(path, MAX_BYTES, "a few lines of YAML")
        return _decoded(data, file)
    except UnfitFileError as unfit:
        raise SiteError([SiteProblem(file, "", str(unfit))]) from unfit


class UnfitFileError(Exception):
    """Not a readable stored file of a sensible size; the text is the end of a message."""


def read_stored(path: str, limit: int, small: str) -> bytes:
    """Return the bytes of a regular file of at most ``limit`` bytes, whole mebibytes.

    Raises UnfitFileError; of one that is too large it says that it would be ``small``.
    """
    try:
        data = _read(path, limit)
    except OSError as error:
        reason = (error.strerror or "unknown error").lower()
        message = f"cannot be read: {reason}"
        raise UnfitFileError(message) from error
    except ValueError as error:  # a NUL in the path
        message = "is not a file name, expected one without NUL characters"
        raise UnfitFileError(message) from error
    if data is None:
        message = f"is larger than {limit // MEBIBYTE} MiB, expected {small}"
        raise UnfitFileError(message)
    return data


def _read(path: str, limit: int) -> bytes | None:
    # Opening some devices acts on them (a watchdog starts), and reading /proc/kmsg takes lines
    # away from the kernel's log: so look before, and again after, in case the name was exchanged
    # in between. O_NONBLOCK: no waiting for whoever holds a lease on the file.
    status = Path(path).stat()
    _check_kind(status, path)
    if status.st_size > limit:
        return None
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        _check_kind(os.fstat(handle), handle)
        data = bytearray()
        while len(data) <= limit and (chunk := os.read(handle, MEBIBYTE)):
            data += chunk
    finally:
        os.close(handle)
    return bytes(data) if len(data) <= limit else None


def _check_kind(status: os.stat_result, where: str | int) -> None:
    kinds = {
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a pipe",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFSOCK: "a socket",
    }
    kind = kinds.get(stat.S_IFMT(status.st_mode))
    if kind:
        message = f"is {kind}, expected a regular file"
        raise UnfitFileError(message)
    # What /proc, tracefs and debugfs show has no size, and is stored nowhere.
    if status.st_size == 0 and os.statvfs(where).f_blocks == 0:
        message = "is not stored but made by the kernel when it is read, expected a stored file"
        raise UnfitFileError(message)


def _decoded(data: bytes, file: Place) -> str:
    if data.startswith(_UTF16_MARKS):
        message = "is UTF-16 text, expected UTF-8"
        raise UnfitFileError(message)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        message = f"byte 0x{data[error.start]:02x} is not UTF-8, expected UTF-8 text"
        problem = SiteProblem(replace(file, line=line, column=column), "yaml", message)
        raise SiteError([problem]) from error
    if "\0" in text:
        message = "is a binary file, it holds NUL bytes, expected UTF-8 text"
        raise UnfitFileError(message)
    return text
