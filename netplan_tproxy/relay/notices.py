"""Lines about what may happen to each of a million datagrams: counted, and said once a second."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_PAUSE = 1.0


class Notices:
    """Says the first line of a kind at once, and how many followed after a pause."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._counts: dict[str, int] = {}  # unsaid, by kind; a kind is there during its pause
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def tell(self, kind: str, line: str) -> None:
        """Say ``line``, or count it if its kind was heard of just now."""
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
        """Say what is left to say."""
        for kind, timer in list(self._timers.items()):
            timer.cancel()
            count = self._counts.pop(kind)
            if count:
                self._say(f"{kind}: {count} more")
        self._timers.clear()
