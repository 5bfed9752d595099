"""Foreign text for a terminal: printable, quoted, clipped; times. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

SHOWN_LENGTH = 60


def rfc3339(at: float) -> str:
    """Return a time, given in seconds since 1970, as RFC 3339 has it: ``2026-01-31T12:00:00Z``."""
    when = datetime.fromtimestamp(at, tz=UTC).isoformat(timespec="seconds")
    return when.replace("+00:00", "Z")


def printable(text: str) -> str:
    r"""Return ``text`` with every character that a terminal could act on as ``\xNN``."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def shown(text: str) -> str:
    """Return ``text`` in single quotes, printable and at most about 60 characters long."""
    return f"'{printable(clipped(text))}'"


def clipped(text: str) -> str:
    """Return ``text`` cut to 60 characters, with an ellipsis where it was cut."""
    return text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 1] + "…"


def _escaped(char: str) -> str:
    code = ord(char)
    if char in "\t\r\n":
        return {"\t": "\\t", "\r": "\\r", "\n": "\\n"}[char]
    if code <= 0xFF:  # noqa: PLR2004
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004
