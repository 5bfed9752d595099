"""Colours are for terminals, and for those who ask for them."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import termios

import pytest

from netplan_tproxy.output import text as tables
from netplan_tproxy.output.style import Style, wanted

PAINTS = ("add", "change", "remove", "ok", "warn", "fail", "dim", "bold")
SGR = re.compile(r"\033\[\d+m")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("paint", PAINTS)
def test_paint_adds_colours_alone_and_none_where_they_are_off(paint: str) -> None:
    painted = getattr(Style(on=True), paint)("text")
    assert painted != "text"
    assert SGR.sub("", painted) == "text"
    assert getattr(Style(on=False), paint)("text") == "text"
    assert getattr(Style(on=True), paint)("") == ""


@pytest.mark.parametrize(
    ("choice", "stream", "environment", "on"),
    [
        ("auto", Terminal(), {}, True),
        ("auto", Terminal(), {"TERM": "xterm", "NO_COLOR": ""}, True),
        ("auto", Terminal(), {"NO_COLOR": "1"}, False),
        ("auto", Terminal(), {"TERM": "dumb"}, False),
        ("auto", io.StringIO(), {}, False),
        ("auto", None, {}, False),
        ("always", io.StringIO(), {"NO_COLOR": "1"}, True),
        ("never", Terminal(), {}, False),
    ],
)
def test_colours_are_on_where_they_should_be(
    choice: str, stream: io.StringIO | None, environment: dict[str, str], on: object
) -> None:
    assert wanted(choice, stream, environment).on is on


def test_a_closed_stream_is_no_terminal() -> None:
    stream = Terminal()
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as file:
        assert wanted("auto", file, {}).on
    assert not wanted("auto", file, {}).on
    os.close(master)
    stream.close()


@pytest.mark.parametrize(
    ("columns", "width"),
    [("60", 60), ("200", 200), ("500", 200), ("10", 40), ("0", 132), ("", 132), ("wide", 132)],
)
def test_lines_are_as_wide_as_the_terminal_or_columns_within_bounds(
    columns: str, width: int
) -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as file:
        style = wanted("auto", file, {"COLUMNS": columns})
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 132, 0, 0))
        assert style.width == width
        assert style.inset(2).width == width - 2
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 70, 0, 0))
        assert style.width == (width if width != 132 else 70)
    assert style.width == (width if width != 132 else 80)
    os.close(master)


def test_into_a_pipe_or_a_file_no_line_is_broken() -> None:
    style = wanted("always", io.StringIO(), {"COLUMNS": "60"})
    line = " ".join(["word"] * 1000)
    assert tables.wrapped(line, style.width) == [line]


def test_colours_take_no_room_and_are_not_cut_in_two() -> None:
    style = Style(on=True)
    line = f"one {style.ok('two')} three"
    assert tables.wrapped(line, 13) == [line]
    assert tables.visible(line) == 13
    assert SGR.sub("", tables.clip(line, 9)) == "one two …"
    assert tables.clip(line, 9).count("\033") == 2
    assert tables.clip(line, 13) == line


def test_a_line_is_broken_at_blanks_and_loses_nothing() -> None:
    text = "+ config: " + ", ".join(f"bypass mark {number:#x}/0xff" for number in range(20))
    found = tables.wrapped(text, 80)
    assert all(len(line) <= 80 for line in found)
    assert " ".join(line.strip() for line in found) == text
    assert tables.wrapped("x" * 200, 80) == ["x" * 200]
    assert tables.wrapped("", 80) == [""]


def test_cells_are_aligned_and_lines_end_with_text() -> None:
    rows = [("1", "a"), ("200", "bb"), ("30", "")]
    assert tables.columns(rows, right=frozenset({0})) == ["  1  a", "200  bb", " 30"]
    assert tables.columns([]) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (3600, "1 h 0 min"), (90061, "1 d 1 h")],
)
def test_durations_have_two_units(seconds: float, text: str) -> None:
    assert tables.ago(seconds) == text


@pytest.mark.parametrize(
    ("octets", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (20480, "20 KiB"), (1 << 60, "1024 PiB")],
)
def test_sizes_have_few_figures(octets: int, text: str) -> None:
    assert tables.size(octets) == text
