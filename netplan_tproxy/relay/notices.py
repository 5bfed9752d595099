"""Messages about single datagrams, at most one a second of each kind; the rest is counted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_PAUSE = 1.0


class Notices:
    """Prints the first message of a kind at once, and the number of further ones every second."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._counts: dict[str, int] = {}  # unsaid, by kind; a kind is there during its pause
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def tell(self, kind: str, line: str) -> None:
        """Print ``line``, or count it if there was one of its kind within the last second."""
        if kind in self._counts:
            self._counts[kind] += 1
            return
        self._say(line)
        self._pause(kind)

    def _pause(self, kind: str) -> None:
        self._counts[kind] = 0
        loop = asyncio.get_running_loop()
        self._timers[kind] = loop.call_later(_PAUSE, self._sum_up, kind)

    def _sum_up(self, kind: str) -> None:
        del self._timers[kind]
        count = self._counts.pop(kind)
        if count:
            self._say(f"{kind}: {count} more")
            self._pause(kind)

    def close(self) -> None:
        """Print the counts that are left."""
        for kind, timer in list(self._timers.items()):
            timer.cancel()
            count = self._counts.pop(kind)
            if count:
                self._say(f"{kind}: {count} more")
        self._timers.clear()
