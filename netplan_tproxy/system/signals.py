"""SIGINT, SIGTERM and SIGHUP as one exception: at once, or between two steps in a transaction."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Interrupts:
    """Turns signals into Interrupted while ``handled``, and holds them back while ``shielded``.

    ``to_the_end``: the process ends with the run, so the signals stay in our hands.
    """

    def __init__(self, *, to_the_end: bool = False) -> None:
        self._to_the_end = to_the_end
        self._shielded = False
        self._over = False
        self._pending = 0

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Take the signals over; one that is ignored (nohup(1)) stays ignored."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in SIGNALS}
        try:
            for number, handler in before.items():
                if handler is not signal.SIG_IGN:
                    signal.signal(number, self._on_signal)
            yield
        finally:
            self._over = True
            for number, handler in before.items() if not self._to_the_end else ():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def shielded(self) -> Iterator[None]:
        """Let no signal break in; one that comes is raised at the next ``checkpoint``."""
        self._shielded = True
        try:
            yield
        finally:
            self._shielded = False
            self._pending = 0

    def checkpoint(self) -> None:
        """Raise Interrupted if a signal came meanwhile."""
        if self._pending and not self._over:
            raise Interrupted(self._pending)

    def over(self) -> None:
        """Heed no signal any more: what was to be done is done, and there is no way back."""
        self._over = True

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if not (self._shielded or self._over):
            raise Interrupted(number)
        self._pending = number
