"""SIGINT, SIGTERM and SIGHUP as one exception: at once, or between two steps in a transaction."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Interrupts:
    """Turns signals into Interrupted while ``handled``, and holds them back while ``shielded``."""

    def __init__(self) -> None:
        self._shielded = False
        self._pending = 0

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Take the signals over; one that is ignored (nohup(1)) stays ignored."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        try:
            for number, handler in before.items():
                if handler is not signal.SIG_IGN:
                    signal.signal(number, self._on_signal)
            yield
        finally:
            for number, handler in before.items():
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
        if self._pending:
            raise Interrupted(self._pending)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if not self._shielded:
            raise Interrupted(number)
        self._pending = number
