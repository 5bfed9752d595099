"""The bytes of a site file to text, without waiting on a pipe or reading without end."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from netplan_tproxy.errors import SiteError
from netplan_tproxy.site.problem import printable

MAX_BYTES = 16 * 1024 * 1024
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_text(path: str) -> str:
    """Return the text of the regular file at ``path``, without its byte order mark.

    Raises SiteError with one line ``path: what is wrong`` or ``path:line:column: ...``.
    """
    shown_path = printable(path)
    try:
        data = _read(path)
    except _UnfitError as unfit:
        message = f"{shown_path}: {unfit}"
        raise SiteError([message]) from unfit
    except OSError as error:
        reason = (error.strerror or "unknown error").lower()
        message = f"{shown_path}: cannot be read, {reason}, would be a readable site file"
        raise SiteError([message]) from error
    except ValueError as error:  # a NUL in the path
        message = f"{shown_path}: is no file name, would be one without NUL characters"
        raise SiteError([message]) from error
    return _decoded(data, shown_path)


class _UnfitError(Exception):
    """Something other than a regular file of a sensible size."""


def _read(path: str) -> bytes:
    # Opening some devices acts on them (a watchdog starts), so look before, and again after,
    # in case the name was exchanged in between.
    _check_regular(Path(path).stat())
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        _check_regular(os.fstat(file.fileno()))
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise _UnfitError(_too_large())
    return data


def _check_regular(status: os.stat_result) -> None:
    kinds = {
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a pipe",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFSOCK: "a socket",
    }
    kind = kinds.get(stat.S_IFMT(status.st_mode))
    if kind:
        message = f"is {kind}, would be a regular file"
        raise _UnfitError(message)
    if status.st_size > MAX_BYTES:
        raise _UnfitError(_too_large())


def _too_large() -> str:
    return f"is larger than {MAX_BYTES // 1024 // 1024} MiB, would be a few lines of YAML"


def _decoded(data: bytes, shown_path: str) -> str:
    if data.startswith(_UTF16_MARKS):
        message = f"{shown_path}: is UTF-16 text, would be UTF-8"
        raise SiteError([message])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        byte = f"byte 0x{data[error.start]:02x}"
        message = f"{shown_path}:{line}:{column}: yaml: {byte} is not UTF-8, would be UTF-8 text"
        raise SiteError([message]) from error
    if "\0" in text:
        message = f"{shown_path}: is a binary file, it holds NUL bytes, would be UTF-8 text"
        raise SiteError([message])
    return text
