"""SIGINT, SIGTERM and SIGHUP as an exception: at once, or between two steps of a transaction."""

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

    ``to_the_end``: the process ends with the run, so the handlers are not restored.
    """

    def __init__(self, *, to_the_end: bool = False) -> None:
        self._to_the_end = to_the_end
        self._shielded = False
        self._over = False
        self._pending = 0

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Handle the signals; one that is ignored (nohup(1)) stays ignored."""
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
        """Hold signals back; one that comes is raised at the next ``checkpoint``."""
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
        """Ignore signals from now on: the change is committed, and is not undone."""
        self._over = True

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if not (self._shielded or self._over):
            raise Interrupted(number)
        self._pending = number
