"""``--status --watch`` shows the same again, in place on a terminal, and ends cleanly."""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import time
from typing import Any

import pytest

from netplan_tproxy.output import status as status_text
from netplan_tproxy.output.keys import DOWN, FIRST, LAST, PAGE_DOWN, PAGE_UP, QUIT, UP
from netplan_tproxy.output.screen import Line, fitted, watch
from netplan_tproxy.output.style import Style
from netplan_tproxy.system.signals import Interrupted, Interrupts
from tests.lab.host import Host
from tests.lab.patience import LONG
from tests.paths import ROOT

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

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
                {"hook": hook, "attach": "tcx", "program": f"wan_{hook}@0", "age": 1.0,
                 "current": True}
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
