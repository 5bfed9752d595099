"""Thousands of routes: a few writes to the disk, and the same promises as for one."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.protocol import OUR_PROTOCOL
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.netlink.answer import RefusedError
from netplan_tproxy.kernel.netlink.channel import TOGETHER, Channel
from netplan_tproxy.kinds import all_kinds, route
from netplan_tproxy.kinds.route import Route, RouteKind
from netplan_tproxy.kinds.rule import Rule
from netplan_tproxy.resource.kind import BatchKind, Ends
from netplan_tproxy.state.journal import JournalFile
from tests.lab import Lab, diff_snapshots
from tests.lab.budget import examples
from tests.lab.host import SITE, STATE, Host

if TYPE_CHECKING:
    from netplan_tproxy.resource.values import Resource
    from tests.lab import Namespace

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
        assert host.applied().out[-1] == f"{MANY} to add, 0 to change, 0 to remove"
    assert len(routes(host)) == MANY + 1
    assert len(many) < len(few)
    assert host.applied().out == ["no changes"]
    host.write(with_routes(TO[: MANY // 2]))
    with counting_syncs(monkeypatch) as many:
        assert host.applied().out[-1] == f"0 to add, 0 to change, {MANY // 2} to remove"
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
    assert done.err == (
        f"tproxy-apply: add route {in_the_way} table 100: File exists (EEXIST); "
        "everything was put back\n"
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
    assert said[0] == f"a run was killed after {begun} of its changes: they count as ours"
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
    assert said[0] == f"a run was killed after {len(lines)} of its changes: they count as ours"
    assert diff_snapshots(clean, host.look()) == []


# A batch is what its parts are.

TABLES = (100, 7000)
FEW = ("10.1.0.0/16", "10.1.1.0/24", "0.0.0.0/0", "fd01::/16", "::/0")
a_route = st.builds(
    lambda to, table, protocol: Route(
        10 if ":" in to else 2, table, to, "local", "lo", protocol=protocol
    ),
    st.sampled_from(FEW), st.sampled_from(TABLES), st.sampled_from([OUR_PROTOCOL, 7]),
)  # fmt: skip
a_rule = st.builds(
    Rule,
    st.sampled_from([2, 10]), st.sampled_from([900, 901]), st.sampled_from([1, 3]),
    st.sampled_from([1, 3, 0xFFFFFFFF]), st.sampled_from(TABLES),
    st.sampled_from([OUR_PROTOCOL, 7]),
)  # fmt: skip


def changes(of: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Ends[Any]]]:
    """Any ends of one object each, true to the kernel or not."""
    ends = st.tuples(of, st.booleans(), st.booleans()).filter(lambda drawn: drawn[1] or drawn[2])
    return st.lists(
        ends.map(lambda drawn: (drawn[0] if drawn[1] else None, drawn[0] if drawn[2] else None)),
        min_size=1,
        max_size=12,
    )


@pytest.fixture(scope="module")
def worlds() -> Iterator[tuple[Namespace, Namespace]]:
    with Lab() as lab:
        yield lab.host, lab.net


def seen(namespace: Namespace) -> list[str]:
    lines = []
    for family in ("-4", "-6"):
        for table in TABLES:
            shown = namespace.run(["ip", family, "route", "show", "table", str(table)], check=False)
            lines += shown.stdout.splitlines()
        lines += namespace.run(["ip", family, "rule"]).stdout.splitlines()
    return lines


def emptied(namespace: Namespace) -> None:
    for family in ("-4", "-6"):
        for table in TABLES:
            namespace.run(["ip", family, "route", "flush", "table", str(table)], check=False)
        for line in namespace.run(["ip", family, "rule"]).stdout.splitlines():
            if line.split(":")[0] in {"900", "901"}:
                namespace.run(["ip", family, "rule", "del", *line.split(":")[1].split()])


def one_by_one(
    kind: BatchKind[Any], kernel: Kernel, asked: list[Ends[Resource]]
) -> dict[int, tuple[str, int]]:
    failures = {}
    for number, (before, after) in enumerate(asked):
        try:
            kind.make(kernel, before, after)
        except KernelError as refusal:
            failures[number] = (str(refusal), refusal.errno)
    return failures


def together(
    kind: BatchKind[Any], kernel: Kernel, asked: list[Ends[Resource]]
) -> dict[int, tuple[str, int]]:
    failures = kind.make_many(kernel, asked)
    return {number: (str(why), why.errno) for number, why in failures.items()}


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(changes(a_route), changes(a_rule)))
def test_a_batch_does_and_refuses_what_its_changes_do_one_by_one(
    worlds: tuple[Namespace, Namespace], asked: list[Ends[Resource]]
) -> None:
    subject = asked[0][0] or asked[0][1]
    assert subject is not None
    kind = all_kinds()[subject.kind]
    assert isinstance(kind, BatchKind)
    outcomes = []
    for namespace, how in zip(worlds, (one_by_one, together), strict=True):
        try:
            with namespace.entered(), Kernel() as kernel:
                outcomes.append((how(kind, kernel, asked), seen(namespace)))
        finally:
            emptied(namespace)
    assert outcomes[0] == outcomes[1]


def test_a_device_that_is_gone_fails_its_routes_alone(worlds: tuple[Namespace, Namespace]) -> None:
    namespace, _ = worlds
    asked = [
        (None, Route(2, 100, "10.1.0.0/16", "local", "lo")),
        (None, Route(2, 100, "10.2.0.0/16", "local", "gone0")),
        (None, Route(2, 100, "10.3.0.0/16", "local", "lo")),
    ]
    with namespace.entered(), Kernel() as kernel:
        failures = route.KIND.make_many(kernel, asked)
    shown = namespace.run(["ip", "route", "show", "table", "100"]).stdout.split()
    emptied(namespace)
    assert {number: str(why) for number, why in failures.items()} == {
        1: "route 10.2.0.0/16 table 100: no interface gone0"
    }
    assert "10.1.0.0/16" in shown
    assert "10.3.0.0/16" in shown
