"""``--confirm N --detach``: the run returns, and names what is to be confirmed."""

from __future__ import annotations

import json
import os
import pty
import shlex
import signal
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.confirm.support import is_as, time_is_up, watchdog_of
from tests.lab.patience import LONG, eventually
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.host import Host

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


def detached(host: Host, *options: str) -> dict[str, Any]:
    done = host.spawn(str(host.site), "--confirm", "600", "--detach", "--json", *options)
    document: dict[str, Any] = json.loads("\n".join(done.out))
    assert (done.code, done.err, document["exit"]) == (0, "", 0)
    return document


@pytest.fixture
def run(host: Host) -> Iterator[str]:
    yield detached(host)["pending"]["run"]
    if watchdog_of(host):
        host.run("--rollback")


def test_it_returns_with_the_run_its_deadline_and_the_plan(host: Host) -> None:
    before = host.look()
    document = detached(host)
    pending = document["pending"]
    assert document["plan"]["changes"]
    assert 500 < pending["seconds"] <= 600
    deadline = datetime.fromisoformat(pending["deadline"])
    assert abs((deadline - datetime.now(tz=UTC)).total_seconds() - pending["seconds"]) < 60
    assert not is_as(host, before)
    assert host.run("--rollback", pending["run"]).out == ["everything was put back"]
    assert is_as(host, before)


def test_it_says_so_to_people(host: Host) -> None:
    done = host.spawn(str(host.site), "--confirm", "600", "--detach")
    assert done.code == 0
    assert done.out[-2].startswith("goes back in 600 s, at 20")
    command, option, run = done.out[-1].split()
    assert (command, option) == ("tproxy-apply", "--commit")
    assert host.run("--commit", run).out == ["confirmed"]
    assert host.apply("--check").is_as_the_file_says


def test_another_run_is_not_confirmed_and_not_taken_back(host: Host, run: str) -> None:
    for option in ("--commit", "--rollback"):
        done = host.run(option, "0123456789abcdef")
        assert done.code == 8
        assert f"but run {run} does" in done.err
    assert host.run("--commit", run).code == 0


def test_what_was_confirmed_awaits_nothing(host: Host, run: str) -> None:
    assert host.run("--commit", run).code == 0
    for option in ("--commit", "--rollback"):
        assert host.run(option, run).code == 7
        assert host.run(option).code == 7
    assert host.apply("--check").is_as_the_file_says


def test_what_has_gone_back_can_not_be_confirmed(host: Host) -> None:
    before = host.look()
    run = detached(host)["pending"]["run"]
    time_is_up(host)
    eventually(lambda: is_as(host, before) and watchdog_of(host) == 0)
    done = host.run("--commit", run)
    assert done.code == 7
    assert is_as(host, before)


def test_while_it_goes_back_it_is_too_late(host: Host, run: str) -> None:
    watchdog = watchdog_of(host)
    os.kill(watchdog, signal.SIGSTOP)
    time_is_up(host)
    assert host.run("--commit", run).code == 9
    os.kill(watchdog, signal.SIGCONT)
    eventually(lambda: watchdog_of(host) == 0)


def test_it_goes_with_confirm_alone(host: Host) -> None:
    assert host.apply("--detach").code == 64
    assert host.run("--status", "--detach", "--confirm", "5").code == 64


def test_in_the_background_of_a_terminal_it_reads_nothing_and_is_not_stopped(host: Host) -> None:
    before = host.look()
    controller, terminal = pty.openpty()
    words = shlex.join(host.popen_words(str(host.site), "--confirm", "600"))
    # A shell with job control, as a person has it: what it starts with & is in a group of its own.
    child = host.namespace.popen(
        ["setsid", "--ctty", "bash", "-ic", f"{words} & wait %1"],
        stdin=terminal, stdout=terminal, stderr=terminal, cwd=ROOT,
    )  # fmt: skip
    eventually(lambda: watchdog_of(host) != 0)
    os.write(controller, b"\n\n")
    time.sleep(0.5)
    assert "T (stopped)" not in _states(host)
    assert host.run("--commit").code == 0
    child.wait(LONG)
    os.close(controller)
    os.close(terminal)
    host.destroyed()
    assert is_as(host, before)


def _states(host: Host) -> str:
    done = host.namespace.run(["sh", "-c", "cat /proc/[0-9]*/status 2>/dev/null"], check=False)
    blocks = done.stdout.split("Name:")
    return "".join(block for block in blocks if "tproxy" in block or "python" in block)
