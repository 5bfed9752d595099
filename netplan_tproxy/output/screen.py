"""``--watch``: the same report again and again, until a signal or a key ends it, or nobody reads.

On a terminal each picture goes over the last one. It fits: what matters least is cut first, and
keys scroll through all of it.
"""

from __future__ import annotations

import os
import select
import shutil
import stat
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from netplan_tproxy.output.keys import (
    DOWN,
    FIRST,
    LAST,
    PAGE_DOWN,
    PAGE_UP,
    QUIT,
    UP,
    Waiting,
)
from netplan_tproxy.output.text import clip
from netplan_tproxy.system.signals import Interrupted, Interrupts

# ECMA-48: cursor home, erase to the end of the line, erase to the end of the screen.
_HOME, _END_OF_LINE, _END_OF_SCREEN = "\033[H", "\033[K", "\033[J"
_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL
_LEAST_HEIGHT = 4
# How soon a terminal of another size is noticed, in seconds.
_GLANCE = 0.5


class Line(NamedTuple):
    """A line of a picture; of those with the highest ``rank`` the last is cut first, of 0 none."""

    text: str
    rank: int = 0


def nobody_reads() -> bool:
    """Whether standard output goes nowhere: a pipe without a reader, or /dev/null."""
    try:
        number = sys.stdout.fileno()
        status = os.fstat(number)
        if stat.S_ISCHR(status.st_mode):
            return status.st_rdev == Path(os.devnull).stat().st_rdev
        poll = select.poll()
        poll.register(number, 0)
        return any(event & _GONE for _, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # closed, or no file at all
        return sys.stdout is None or sys.stdout.closed


def watch(  # noqa: PLR0913 - a test replaces the keys and the reader
    picture: Callable[[], Sequence[Line]],
    say: Callable[[str], None],
    interrupts: Interrupts,
    waiting: Waiting,
    *,
    interval: float,
    in_place: bool,
    between: Sequence[str] = ("",),
    gone: Callable[[], bool] = nobody_reads,
) -> None:
    """Print ``picture()`` every ``interval`` seconds, until q, a signal, or nobody reads.

    ``in_place``: each one over the last; else with the lines ``between`` them. No signal
    interrupts ``picture``.
    """
    view = View(say)
    first = True
    try:
        while True:
            with interrupts.shielded():
                lines = picture()
                interrupts.checkpoint()
            if in_place:
                view.show(lines)
            else:
                for text in (*(() if first else between), *(line.text for line in lines)):
                    say(text)
            first = False
            if gone() or not _waited(waiting, interval, view if in_place else None):
                return
    except Interrupted:
        return


def _waited(waiting: Waiting, seconds: float, view: View | None) -> bool:
    """Wait, and scroll meanwhile; False: somebody wants to leave."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        key = waiting.wait(min(left, _GLANCE))
        if key == QUIT:
            return False
        if view is None:
            continue
        if key:
            # What is looked through stays for a whole interval.
            deadline = time.monotonic() + seconds
            view.scroll(key)
        elif view.outgrown:
            view.draw()
    return True


class View:
    """A picture on a terminal, and how far down it one has scrolled."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._lines: Sequence[Line] = ()
        self._top = 0
        self._size = (0, 0)

    def show(self, lines: Sequence[Line]) -> None:
        """Draw another picture from where one has scrolled to."""
        self._lines = lines
        self.scroll()

    def scroll(self, key: str = "") -> None:
        """Draw the same picture from where the key leads to."""
        height = _size()[1]
        page = height - 2
        last = len(self._lines) - page if len(self._lines) > height else 0
        steps = {UP: -1, DOWN: 1, PAGE_UP: -page, PAGE_DOWN: page, FIRST: -self._top, LAST: last}
        self._top = min(max(self._top + steps.get(key, 0), 0), last)
        self.draw()

    @property
    def outgrown(self) -> bool:
        """Whether the terminal has another size than the last time."""
        return self._size != _size()

    def draw(self) -> None:
        """Draw the picture over the last one; all over where the terminal has another size."""
        begin = _HOME + (_END_OF_SCREEN if self.outgrown else "")
        self._size = width, height = _size()
        shown = window(self._lines, height, self._top) if self._top else fitted(self._lines, height)
        rows = f"{_END_OF_LINE}\n".join(clip(line, width) for line in shown)
        # Erased behind the last line, which ``say`` ends: the cursor goes to the row left over.
        self._say(f"{begin}{rows}{_END_OF_SCREEN}")


def _size() -> tuple[int, int]:
    """Return how many columns and rows there are to draw on."""
    columns, rows = shutil.get_terminal_size((80, 24))
    return columns, max(rows - 1, _LEAST_HEIGHT)


def fitted(lines: Sequence[Line], height: int) -> list[str]:
    """Return the picture in ``height`` lines: what is cut is what matters least."""
    if len(lines) <= height:
        return [line.text for line in lines]
    order = sorted(range(len(lines)), key=lambda at: (lines[at].rank, at))
    kept = sorted(order[: height - 1])
    hidden = len(lines) - len(kept)
    return [*(lines[at].text for at in kept), f"… {hidden} more lines: arrows scroll, q leaves"]


def window(lines: Sequence[Line], height: int, top: int) -> list[str]:
    """Return the first line, and as many as there is room for from ``top`` on."""
    body = lines[top : top + height - 2]
    shown = f"… to line {top + len(body)} of {len(lines)}: arrows scroll, g goes back, q leaves"
    return [lines[0].text, *(line.text for line in body), shown]
