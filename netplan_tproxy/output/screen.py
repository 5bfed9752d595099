"""``--watch``: the same report again and again, until a signal comes or nobody reads."""

from __future__ import annotations

import os
import select
import shutil
import stat
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from netplan_tproxy.system.signals import Interrupted, Interrupts

# ECMA-48: cursor home, erase to the end of the line, erase to the end of the screen.
_HOME, _END_OF_LINE, _END_OF_SCREEN = "\033[H", "\033[K", "\033[J"
_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL


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


def watch(  # noqa: PLR0913 - a test replaces time and reader
    picture: Callable[[], Sequence[str]],
    say: Callable[[str], None],
    interrupts: Interrupts,
    *,
    interval: float,
    in_place: bool,
    pause: Callable[[float], None] = time.sleep,
    gone: Callable[[], bool] = nobody_reads,
) -> None:
    """Print ``picture()`` every ``interval`` seconds, until a signal comes or nobody reads.

    ``in_place``: each one over the last, cut to the height of the terminal. No signal
    interrupts ``picture``.
    """
    first = True
    try:
        while True:
            with interrupts.shielded():
                lines = picture()
                interrupts.checkpoint()
            if in_place:
                say(_screen(lines, clear=first))
            else:
                for line in (*([] if first else [""]), *lines):
                    say(line)
            first = False
            if gone():
                return
            pause(interval)
    except Interrupted:
        return


def _screen(lines: Sequence[str], *, clear: bool) -> str:
    height = shutil.get_terminal_size((80, 24)).lines - 1
    if len(lines) > height:
        lines = [*lines[: height - 1], f"… {len(lines) - height + 1} more lines"]
    begin = _HOME + (_END_OF_SCREEN if clear else "")
    return begin + "".join(f"{line}{_END_OF_LINE}\n" for line in lines) + _END_OF_SCREEN
