"""Thousands of routes: a few writes to the disk, and the same promises as for one."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from netplan_tproxy.kernel.netlink.answer import RefusedError
from netplan_tproxy.kernel.netlink.channel import TOGETHER, Channel
from netplan_tproxy.kinds.route import RouteKind
from netplan_tproxy.state.journal import JournalFile
from tests.lab import diff_snapshots
from tests.lab.host import SITE, STATE, Host

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

MANY = 2000
TO = [f"10.{number >> 8}.{number & 255}.0/24" for number in range(MANY)]
MOST = RouteKind.most


def with_routes(destinations: list[str]) -> str:
    lines = "".join(f"  - to: {to}\n" for to in ["default", *destinations])
    return SITE + f"route_tables:\n  100:\n{lines}"


def routes(host: Host) -> list[str]:
    shown = host.namespace.run(["ip", "route", "show", "table", "100"], check=False)
    return shown.stdout.splitlines()


def typing(host: Host, command: str) -> None:
    host.sh(command)


@contextmanager
def counting_syncs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    synced: list[int] = []
    fsync = os.fsync

    def counting(fd: int) -> None:
        synced.append(fd)
        fsync(fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", counting)
        yield synced


@contextmanager
def before_batch(
    monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], None]
) -> Iterator[None]:
    """``act`` is called before that many'th datagram of requests is sent."""
    ask_all, calls = Channel._ask_all, iter(range(1000))

    def acting(self: Channel, changes: Any) -> dict[int, RefusedError]:
        if next(calls) == number:
            act()
        return ask_all(self, changes)

    with monkeypatch.context() as patch:
        patch.setattr(Channel, "_ask_all", acting)
        yield


def test_routes_by_the_thousand_cost_a_few_writes_to_the_disk(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = host.look()
    with counting_syncs(monkeypatch) as few:
        host.applied()
    host.write(with_routes(TO))
    with counting_syncs(monkeypatch) as many:
        assert host.applied().plan[-1] == f"{MANY} to add, 0 to change, 0 to remove"
    assert len(routes(host)) == MANY + 1
    assert len(many) < len(few)
    assert host.applied().out == ["no changes"]
    host.write(with_routes(TO[: MANY // 2]))
    with counting_syncs(monkeypatch) as many:
        assert host.applied().plan[-1] == f"0 to add, 0 to change, {MANY // 2} to remove"
    assert len(many) < len(few)
    assert len(routes(host)) == MANY // 2 + 1
    host.destroyed()
    assert diff_snapshots(clean, host.look()) == []


@pytest.mark.parametrize("theirs", ["blackhole {}", "local {} dev lo", "unreachable {}"])
def test_one_that_somebody_adds_meanwhile_is_named_and_all_others_are_undone(
    host: Host, monkeypatch: pytest.MonkeyPatch, theirs: str
) -> None:
    clean = host.look()
    host.write(with_routes(TO))
    in_the_way = TO[MANY // 2 + 17]
    command = f"ip route add {theirs.format(in_the_way)} table 100"
    with before_batch(monkeypatch, 0, lambda: typing(host, command)):
        done = host.apply()
    assert done.code == 3
    (line,) = (
        number
        for number, text in enumerate(host.site.read_text().splitlines(), 1)
        if text.endswith(f" {in_the_way}")
    )
    assert done.err == (
        f"tproxy-apply: {host.site}:{line}:5: add route {in_the_way} table 100: "
        "File exists (EEXIST); everything was put back\n"
    )
    left = routes(host)
    assert len(left) == 1
    assert left[0].startswith(theirs.split(maxsplit=1)[0])
    host.sh(f"ip route del {theirs.format(in_the_way)} table 100")
    assert diff_snapshots(clean, host.look()) == []
    assert not STATE.exists()


def test_an_answer_that_does_not_come_undoes_all_that_may_have_been_made(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost() -> None:
        raise OSError(errno.ENOBUFS, "No buffer space available")

    clean = host.look()
    host.write(with_routes(TO))
    with before_batch(monkeypatch, 13, lost):
        done = host.apply()
    assert done.code == 3
    assert done.err.endswith("more: No buffer space available; everything was put back\n")
    assert diff_snapshots(clean, host.look()) == []


def killed(host: Host, monkeypatch: pytest.MonkeyPatch, number: int, *arguments: str) -> None:
    child = os.fork()
    if child == 0:
        try:
            with before_batch(monkeypatch, number, lambda: os.kill(os.getpid(), signal.SIGKILL)):
                host.run(*arguments)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


@pytest.mark.parametrize("number", [7, 19])
def test_killed_among_many_the_next_run_goes_on_or_back(
    host: Host, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    clean = host.look()
    host.write(with_routes(TO))
    together = TOGETHER
    killed(host, monkeypatch, number, str(host.site))
    assert len(routes(host)) == number * together
    begun = 1 + (number // (MOST // together) + 1) * MOST  # a sysctl, and whole ranges of routes
    said = host.applied().out
    assert said[0] == f"a run was killed after {begun} of its changes: this run takes them over"
    assert len(routes(host)) == MANY + 1
    assert host.applied().out == ["no changes"]
    host.write(SITE)
    killed(host, monkeypatch, number, "--destroy")
    host.destroyed()
    assert diff_snapshots(clean, host.look()) == []
    assert not STATE.exists()


def test_a_journal_of_single_numbers_is_read_as_ever(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a version wrote it that knew no ranges."""

    def one_by_one(self: JournalFile, first: int, last: int) -> None:
        for number in range(first, last + 1):
            intend(self, number, number)

    clean, intend = host.look(), JournalFile.intend
    host.write(with_routes(TO[:200]))
    with monkeypatch.context() as patch:
        patch.setattr(JournalFile, "intend", one_by_one)
        killed(host, monkeypatch, 1, str(host.site))
    lines = (host.state / "journal.jsonl").read_text().splitlines()[1:]
    assert lines == [str(number) for number in range(len(lines))]
    said = host.destroyed().out
    assert (
        said[0] == f"a run was killed after {len(lines)} of its changes: this run takes them over"
    )
    assert diff_snapshots(clean, host.look()) == []


# A batch is what its parts are.
