"""Standard output and standard error, whatever state they are in."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

# What an encoding without these characters gets in their place.
_PLAIN = str.maketrans({"→": "->", "…": "...", "·": "-", "│": "|", "µ": "u", "\u00d7": "x"})


class Console:
    """Prints lines at once: who reads a plan has it before it is carried out.

    ``lost`` says why what was printed did not arrive; "" as long as it did, and where
    nobody reads any more (a closed pipe), which is the reader's choice.
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
    """Print; say why that was not possible."""
    if stream is None:  # it was closed by whoever started us
        return ""
    try:
        print(_fit(line, stream), file=stream, flush=True)
    except BrokenPipeError:
        _silence(stream)
    except OSError as refusal:
        _silence(stream)
        return refusal.strerror or str(refusal)
    except ValueError:  # it was closed meanwhile
        return "closed"
    return ""


def _fit(line: str, stream: TextIO) -> str:
    """Give the line in characters that the stream's encoding has."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        plain = line.translate(_PLAIN)
        return plain.encode(encoding, "backslashreplace").decode(encoding)
    return line


def _silence(stream: TextIO) -> None:
    """Lead a stream nowhere: what waits in its buffer must not fail again at the end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
