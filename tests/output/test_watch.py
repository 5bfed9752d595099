"""``--status --watch`` shows the same again, in place on a terminal, and ends cleanly."""

from __future__ import annotations

import functools
import os
import pty
import select
import signal
import sys
import time

import pytest

from netplan_tproxy.output.screen import watch
from netplan_tproxy.system.signals import Interrupted, Interrupts
from tests.lab.host import Host
from tests.lab.patience import LONG, PATIENCE
from tests.paths import ROOT

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


def test_watching_ends_with_a_signal_and_never_in_the_middle_of_reading() -> None:
    said: list[str] = []
    interrupts = Interrupts()
    pictures = 0

    def picture() -> list[str]:
        nonlocal pictures
        pictures += 1
        if pictures == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return [f"picture {pictures}"]

    with interrupts.handled():
        once = functools.partial(watch, interval=1, gone=lambda: False)
        once(picture, said.append, interrupts, in_place=False, pause=lambda _: None)
    assert said == ["picture 1", "", "picture 2"]

    def interrupted(_: float) -> None:
        raise Interrupted(signal.SIGTERM)

    once(lambda: ["last"], said.append, interrupts, in_place=False, pause=interrupted)
    assert said[-1] == "last"


def test_in_place_each_picture_goes_over_the_last_one_and_fits_the_height(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LINES", "10")
    monkeypatch.setenv("COLUMNS", "80")
    said: list[str] = []
    rounds = iter([[f"line {n}" for n in range(30)], ["short"]])

    def pause(_: float) -> None:
        if len(said) == 2:
            raise Interrupted(signal.SIGINT)

    once = functools.partial(watch, interval=1, gone=lambda: False)
    once(lambda: next(rounds), said.append, Interrupts(), in_place=True, pause=pause)
    first, second = said
    assert first.startswith("\033[H\033[J")
    assert first.count("\n") == 9
    assert "… 22 more lines" in first
    assert second == "\033[Hshort\033[K\n\033[J"


def test_status_watch_in_a_terminal_is_refreshed_and_ends_with_ctrl_c(host: Host) -> None:
    host.applied()
    master, slave = pty.openpty()
    words = [sys.executable, "-m", "netplan_tproxy", "--status", "--watch", "0.2"]
    watching = host.namespace.popen(
        words, cwd=ROOT, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        env={**os.environ, "TERM": "xterm", "NO_COLOR": ""},
    )  # fmt: skip
    os.close(slave)
    shown = b""
    deadline = time.monotonic() + PATIENCE
    while shown.count(b"\033[H") < 3 and time.monotonic() < deadline:
        if select.select([master], [], [], 1)[0]:
            shown += os.read(master, 65536)
    watching.send_signal(signal.SIGINT)
    assert watching.wait(PATIENCE) == 0
    os.close(master)
    assert shown.count(b"\033[H") >= 3
    assert b"\033[1mwan0: output" in shown
    assert b"Traceback" not in shown


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
