"""``--status --watch`` in a terminal: it fits, it scrolls, and it leaves all as it was."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator

import pytest

from tests.lab.host import Host
from tests.lab.patience import PATIENCE
from tests.paths import ROOT

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

SGR = re.compile(r"\033\[\d+m")


class Terminal:
    """A terminal with ``--status --watch`` in it, and what was written to it."""

    def __init__(self, host: Host, columns: int, rows: int) -> None:
        self.end, theirs = pty.openpty()
        self.resize(columns, rows)
        words = [sys.executable, "-m", "netplan_tproxy", "--status", "--watch", "0.2"]
        environment = {**os.environ, "TERM": "xterm", "NO_COLOR": ""}
        for name in ("COLUMNS", "LINES"):
            environment.pop(name, None)
        # A session of its own, whose terminal this is: a person who presses keys.
        self.process = host.namespace.popen(
            ["setsid", "--ctty", *words], cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs,
            env=environment,
        )  # fmt: skip
        os.close(theirs)
        self.written = b""

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: bytes) -> None:
        os.write(self.end, keys)

    def pictures(self) -> list[list[str]]:
        """All whole ones so far, a list of lines each."""
        *whole, _ = self.written.decode(errors="replace").split("\033[J\r\n")
        return [
            SGR.sub("", one.rpartition("\033[H")[2].removeprefix("\033[J")).split("\033[K\r\n")
            for one in whole
        ]

    def shows(self, wanted: Callable[[list[str]], bool]) -> list[str]:
        """The first new picture that is as wanted."""
        seen = len(self.pictures())
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if select.select([self.end], [], [], 1)[0]:
                self.written += os.read(self.end, 65536)
            for picture in self.pictures()[seen:]:
                if wanted(picture):
                    return picture
        raise AssertionError(self.written[-3000:].decode(errors="replace"))

    def close(self) -> None:
        os.close(self.end)


@pytest.fixture
def terminal(host: Host) -> Iterator[Terminal]:
    host.applied()
    made = Terminal(host, 80, 14)
    yield made
    made.process.kill()
    made.process.wait(PATIENCE)
    made.close()


def test_status_watch_in_a_terminal_is_refreshed_and_ends_with_ctrl_c(terminal: Terminal) -> None:
    for _ in range(3):
        terminal.shows(lambda picture: picture[0].startswith("site default: "))
    terminal.press(b"\x03")
    assert terminal.process.wait(PATIENCE) == 0
    assert b"\033[1mwan0: output" in terminal.written
    assert b"Traceback" not in terminal.written


def test_it_fits_its_screen_and_follows_its_size(terminal: Terminal) -> None:
    small = terminal.shows(lambda picture: len(picture) > 1)
    assert len(small) == 13
    assert small[0].startswith("site default: ")
    assert {"intercepted now", "drift"} <= set(small)
    assert any("nobody listens" in line for line in small)
    assert small[-1].startswith("… ")
    terminal.resize(100, 50)
    large = terminal.shows(lambda picture: len(picture) > 13)
    assert not large[-1].startswith("… ")
    terminal.resize(40, 14)
    narrow = terminal.shows(lambda picture: len(picture) == 13)
    assert all(len(line) <= 40 for line in narrow)


def test_keys_scroll_and_q_leaves_and_the_terminal_is_as_it_was(terminal: Terminal) -> None:
    terminal.shows(lambda picture: picture[-1].startswith("… "))
    terminal.press(b"\033[B")
    down = terminal.shows(lambda picture: picture[-1].startswith("… to line 12 of "))
    assert down[0].startswith("site default: ")
    terminal.press(b"G")
    last = terminal.shows(lambda picture: picture[-2].startswith("  none: "))
    assert re.match(r"… to line (\d+) of \1:", last[-1])
    terminal.press(b"g")
    terminal.shows(lambda picture: "more lines" in picture[-1])
    assert not termios.tcgetattr(terminal.end)[3] & termios.ICANON
    terminal.press(b"q")
    assert terminal.process.wait(PATIENCE) == 0
    assert termios.tcgetattr(terminal.end)[3] & termios.ICANON
    assert termios.tcgetattr(terminal.end)[3] & termios.ECHO
