"""What the demo needs to act, to speak, and to be wrong aloud."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from tests.lab.patience import LONG, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.lab import Namespace


class Failed(Exception):  # noqa: N818 - a claim that failed, not an error
    """A claim of the demo does not hold."""


class Stage:
    """Runs commands in HOST as a person would, and counts the claims that held."""

    def __init__(self, host: Namespace, folder: Path) -> None:
        self._host = host
        self._folder = folder
        self.held = 0

    def title(self, text: str) -> None:
        print(f"\n== {text}", flush=True)

    def show(self, text: str) -> None:
        for line in text.splitlines():
            print(f"   {line}", flush=True)

    def command(self, line: str) -> subprocess.CompletedProcess[str]:
        """Show a command, run it in HOST, show what it says."""
        print(f"   $ {line}", flush=True)
        done = self._host.run(line.split(), check=False, timeout=LONG, cwd=self._folder)
        self.show(done.stdout + done.stderr)
        return done

    def claim(self, text: str, *, holds: bool, why: Sequence[str] = ()) -> None:
        """Say it if it is so; stop everything if not."""
        if not holds:
            raise Failed("\n".join([text, *why]))
        self.held += 1
        print(f"   ok: {text}", flush=True)


class RelayLog:
    """The lines that the relay wrote about its connections."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0

    def wait_until_ready(self) -> None:
        self._next("listening on")

    def next_connection(self) -> str:
        return self._next(" > ").partition(": ")[2]

    def nothing_new(self) -> bool:
        time.sleep(0.2)
        return not self._lines()

    def _lines(self) -> list[str]:
        return self._path.read_text().splitlines()[self._read :]

    def _next(self, wanted: str) -> str:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for line in self._lines():
                self._read += 1
                if wanted in line:
                    return line
            time.sleep(0.02)
        raise Failed(f"the relay never said {wanted!r}; it said:\n{self._path.read_text()}")
