"""Standard output and standard error, whatever state they are in."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

# Replacements for an encoding that lacks these characters.
_PLAIN = str.maketrans({"→": "->", "…": "...", "·": "-", "│": "|", "µ": "u", "\u00d7": "x"})


class Console:
    """Prints lines and flushes each: a plan is out before it is carried out.

    ``lost`` is the reason why output was lost. It is "" as long as nothing was, and for a
    pipe that its reader closed.
    """

    def __init__(self) -> None:
        self.lost = ""

    def say(self, line: str) -> None:
        """Print a line to standard output. Never fails: see ``lost``."""
        self.lost = _printed(line, sys.stdout) or self.lost

    def complain(self, line: str) -> None:
        """Print a line to standard error. Never fails."""
        _printed(line, sys.stderr)


def _printed(line: str, stream: TextIO | None) -> str:
    """Print a line; return the reason if that fails, else ""."""
    if stream is None:  # the parent process closed it
        return ""
    try:
        print(_fit(line, stream), file=stream, flush=True)
    except BrokenPipeError:
        _silence(stream)
    except OSError as refusal:
        _silence(stream)
        return refusal.strerror or str(refusal)
    except ValueError:  # the stream is closed
        return "closed"
    return ""


def _fit(line: str, stream: TextIO) -> str:
    """Return the line in characters that the stream can encode."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        plain = line.translate(_PLAIN)
        return plain.encode(encoding, "backslashreplace").decode(encoding)
    return line


def _silence(stream: TextIO) -> None:
    """Point a stream at /dev/null: flushing its buffer at exit must not fail again."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
