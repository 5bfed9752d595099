"""``--status --watch`` shows the same again, in place on a terminal, and ends cleanly."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from netplan_tproxy.output import status as status_text
from netplan_tproxy.output.keys import DOWN, FIRST, LAST, PAGE_DOWN, PAGE_UP, QUIT, UP
from netplan_tproxy.output.screen import Line, fitted, watch
from netplan_tproxy.output.style import Style
from netplan_tproxy.system.signals import Interrupted, Interrupts
from tests.lab.host import Host
from tests.lab.patience import LONG, PATIENCE
from tests.paths import ROOT

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

SGR = re.compile(r"\033\[\d+m")
REPORT: dict[str, Any] = {
    "set_up": True,
    "site": {"name": "edge", "file": "/etc/site.yaml", "at": 0.0, "age": 7.0},
    "pending_seconds": None,
    "cut_short": False,
    "interfaces": [
        {
            "name": name,
            "intercept": ["output"],
            "programs": [
                {"hook": hook, "program": f"wan_{hook}@0", "age": 1.0, "current": True}
                for hook in ("egress", "ingress")
            ],
            "counters": [
                {"outcome": f"outcome_{at}", "packets": 9, "bytes": 9, "packets_per_second": 0.0}
                for at in range(7)
            ],
        }
        for name in ("wan0", "wan1", "lo")
    ],
    "when_down": "drop",
    "listeners": [
        {"protocol": "tcp", "address": "127.0.0.1:9040", "listening": False, "transparent": None}
    ],
    "flows": {"tcp": 12, "sampled": False, "udp_remembered": 1, "listed": []},
    "fastpath": None,
    "drift": {
        "file": "/etc/site.yaml",
        "why": None,
        "against": "file",
        "conflicts": [],
        "changes": [
            {
                "action": "add", "kind": "rule", "group": "host", "title": "rule 1000",
                "before": None, "after": "fwmark", "parts": {"before": [], "after": ["fwmark"]},
            }
        ],
        "counts": {"add": 1, "change": 0, "remove": 0},
    },
}  # fmt: skip


class Pressed:
    """Keys that are pressed one after the other; then time is up, or a signal comes."""

    def __init__(self, *keys: str, end: signal.Signals | None = None) -> None:
        self._keys = iter(keys)
        self._end = end

    def wait(self, seconds: float) -> str:
        if self._end:
            raise Interrupted(self._end)
        key = next(self._keys, "")
        if not key:
            time.sleep(seconds)
        return key


def test_watching_ends_with_a_signal_and_never_in_the_middle_of_reading() -> None:
    said: list[str] = []
    interrupts = Interrupts()
    pictures = 0

    def picture() -> list[Line]:
        nonlocal pictures
        pictures += 1
        if pictures == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return [Line(f"picture {pictures}")]

    with interrupts.handled():
        once = functools.partial(watch, interval=1, gone=lambda: False)
        once(picture, said.append, interrupts, Pressed(), in_place=False)
    assert said == ["picture 1", "", "picture 2"]

    ended = Pressed(end=signal.SIGTERM)
    once(lambda: [Line("last")], said.append, interrupts, ended, in_place=False)
    assert said[-1] == "last"


MANY = [Line(f"line {n}", rank=n % 3) for n in range(30)]


def played(
    monkeypatch: pytest.MonkeyPatch, rows: int, keys: list[str], pictures: list[list[Line]]
) -> list[list[str]]:
    """What is drawn on a terminal of so many rows, each time."""
    monkeypatch.setenv("LINES", str(rows))
    monkeypatch.setenv("COLUMNS", "80")
    said: list[str] = []
    rounds = iter(pictures)

    def picture() -> list[Line]:
        following = next(rounds, None)
        if following is None:
            raise Interrupted(signal.SIGINT)
        return following

    watch(
        picture, said.append, Interrupts(), Pressed(*keys), interval=1, in_place=True,
        gone=lambda: False,
    )  # fmt: skip
    assert said[0].startswith("\033[H\033[J")
    # With the newline of whoever prints it: more would scroll the first line away.
    assert all(one.count("\n") + 1 < rows and one.startswith("\033[H") for one in said)
    return [one.replace("\033[H", "").replace("\033[J", "").split("\033[K\n") for one in said]


def test_in_place_each_picture_goes_over_the_last_one_and_what_is_cut_matters_least(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = played(monkeypatch, 12, [], [MANY, [Line("short")]])
    assert first == [
        *(f"line {n}" for n in range(0, 30, 3)),
        "… 20 more lines: arrows scroll, q leaves",
    ]
    assert second == ["short"]


def test_what_fits_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert played(monkeypatch, 31, [], [MANY]) == [[line.text for line in MANY]]


def test_keys_scroll_through_all_of_it_below_the_first_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = [DOWN, PAGE_DOWN, PAGE_DOWN, PAGE_DOWN, UP, FIRST, LAST, PAGE_UP, QUIT]
    drawn = played(monkeypatch, 12, keys, [MANY])
    assert len(drawn) == len(keys)
    assert drawn[1][:3] == ["line 0", "line 1", "line 2"]
    assert drawn[1][-1].startswith("… to line 10 of 30: ")
    assert drawn[4][-2:] == ["line 29", "… to line 30 of 30: arrows scroll, g goes back, q leaves"]
    assert drawn[6] == drawn[0]
    assert drawn[7] == drawn[4]
    seen = {line for picture in drawn for line in picture if line.startswith("line ")}
    assert seen == {line.text for line in MANY}


def test_q_leaves_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(played(monkeypatch, 12, [QUIT], [MANY, MANY])) == 1


@pytest.mark.parametrize("rows", [5, 10, 24, 40])
@pytest.mark.parametrize("width", [40, 80])
def test_on_any_screen_the_head_what_is_intercepted_and_drift_stay(rows: int, width: int) -> None:
    shown = status_text.ranked(REPORT, Style(on=False, width=width))
    assert len(shown) > 24
    fits = fitted(shown, rows)
    assert len(fits) <= rows
    assert fits[0] == shown[0].text
    if rows >= 10:
        assert {"intercepted now", "drift"} <= set(fits)
        assert any("12 connections" in line for line in fits)
        assert any("1 to add, 0 to change" in line for line in fits)
    if rows >= 24:
        assert any("nobody listens" in line for line in fits)


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


def test_watching_as_json_is_one_document_a_line(host: Host) -> None:
    host.applied()
    words = f"{sys.executable} -m netplan_tproxy --status --json --watch 0.1"
    line = f"set -o pipefail; {words} | head -3"
    done = host.namespace.run(["bash", "-c", line], cwd=ROOT, timeout=LONG)
    documents = [json.loads(text) for text in done.stdout.splitlines()]
    assert [one["mode"] for one in documents] == ["status"] * 3
    assert [one["exit"] for one in documents] == [10] * 3
    assert done.stderr == ""


@pytest.mark.parametrize("value", ["0", "0.01", "3601", "nan", "-1", "soon"])
def test_an_interval_out_of_bounds_is_a_wrong_command_line(host: Host, value: str) -> None:
    assert host.run("--status", "--watch", value).code == 64


def test_watching_ends_when_nobody_reads_any_more(host: Host) -> None:
    host.applied()
    words = f"{sys.executable} -m netplan_tproxy --status --watch 0.1"
    line = f"set -o pipefail; {words} | head -1"
    done = host.namespace.run(["bash", "-c", line], cwd=ROOT, timeout=LONG)
    assert done.stdout.startswith("site default: ")
    assert done.stderr == ""
    silent = host.namespace.run(["bash", "-c", f"{words} >/dev/null"], cwd=ROOT, timeout=LONG)
    assert silent.returncode == 0
