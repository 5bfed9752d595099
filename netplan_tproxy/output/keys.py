"""Keys that a person presses while a picture is shown."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from typing import Protocol

QUIT, UP, DOWN, PAGE_UP, PAGE_DOWN, FIRST, LAST = (
    "quit",
    "up",
    "down",
    "pgup",
    "pgdn",
    "home",
    "end",
)
# What terminals send (xterm's control sequences), and the letters of less(1).
_KEYS = {
    b"q": QUIT, b"Q": QUIT,
    b"k": UP, b"\033[A": UP, b"\033OA": UP,
    b"j": DOWN, b"\n": DOWN, b"\r": DOWN, b"\033[B": DOWN, b"\033OB": DOWN,
    b"b": PAGE_UP, b"\033[5~": PAGE_UP,
    b" ": PAGE_DOWN, b"f": PAGE_DOWN, b"\033[6~": PAGE_DOWN,
    b"g": FIRST, b"\033[H": FIRST, b"\033OH": FIRST, b"\033[1~": FIRST,
    b"G": LAST, b"\033[F": LAST, b"\033OF": LAST, b"\033[4~": LAST,
}  # fmt: skip
_MOST = 1024


class Waiting(Protocol):
    """How a picture waits for the next one."""

    def wait(self, seconds: float) -> str:
        """Wait so long, or until a key is pressed: give the key, or ""."""


class Blind:
    """Nobody presses keys here."""

    def wait(self, seconds: float) -> str:
        """Wait."""
        time.sleep(seconds)
        return ""


class Keys:
    """Keys from the terminal that is standard input."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._typed = b""

    def wait(self, seconds: float) -> str:
        """Wait for one of the keys above; others are dropped."""
        deadline = time.monotonic() + seconds
        while True:
            key = self._next()
            if key:
                return key
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._number], [], [], left)[0]:
                return ""
            try:
                typed = os.read(self._number, _MOST)
            except OSError:
                typed = b""
            if not typed:  # the terminal is gone
                return QUIT
            self._typed = (self._typed + typed)[-_MOST:]

    def _next(self) -> str:
        while self._typed:
            for sequence, key in _KEYS.items():
                if self._typed.startswith(sequence):
                    self._typed = self._typed[len(sequence) :]
                    return key
            if any(sequence.startswith(self._typed) for sequence in _KEYS):
                return ""  # the rest of a sequence is on its way
            self._typed = self._typed[1:]
        return ""


@contextlib.contextmanager
def keys() -> Iterator[Waiting]:
    """Read keys one by one, unseen; where standard input is no terminal of ours, none."""
    number = _terminal()
    if number is None:
        yield Blind()
        return
    before = termios.tcgetattr(number)
    try:
        tty.setcbreak(number, termios.TCSANOW)
        yield Keys(number)
    finally:
        termios.tcsetattr(number, termios.TCSANOW, before)


def _terminal() -> int | None:
    """Return the descriptor of a terminal that a job in its foreground may set."""
    try:
        number = sys.stdin.fileno()
        return number if os.isatty(number) and os.tcgetpgrp(number) == os.getpgrp() else None
    except (AttributeError, OSError, ValueError):  # closed, no file, or not our terminal
        return None
