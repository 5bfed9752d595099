"""Any two site files, any things of others, any step that fails: the four promises.

One history plays them all, so that each example is worth its time: apply A twice, fail on
the way to B, go to B, destroy, apply B alone, destroy.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.bpf.libbpf import Fd
from tests.lab import Lab, Snapshot, budget, diff_snapshots
from tests.lab.foreign import put_tcx
from tests.lab.host import STATE, Host
from tests.lab.sabotage import raising, sabotaged
from tests.transactions.histories.sites import Foreign, foreigners, sites

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

SHARES = 8  # each can be played by a worker of its own
PLAYED = 40
_TCX: dict[str, Fd] = {}  # what others have attached so, by the line that takes it away
_BYTECODE = ("1,6_0_0_0", "1,6 0 0 0,")


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """One lab for all examples: each leaves it as it was, or fails."""
    with Lab(wans=2, ipv6=True) as lab, tempfile.TemporaryDirectory() as folder:
        yield Host(lab, Path(folder))


def typed(host: Host, lines: str) -> None:
    for line in lines.split(";"):
        words = [word.replace(*_BYTECODE) for word in line.split()]
        if words[0] != "tcx":
            host.namespace.run(words)
        elif words[1] == "add":
            _TCX[line.replace("add", "del")] = put_tcx(host.namespace, *words[2:])
        else:
            _TCX.pop(line).close()


def same(expected: Snapshot, host: Host) -> None:
    assert diff_snapshots(expected, host.look()) == []


def play(host: Host, first: str, second: str, step: int, *, done: bool) -> None:
    """Play one history; see the module's text."""
    before = host.look()
    host.write(first)
    host.applied()
    applied = host.look()
    assert host.applied().out[-1] == "no changes"
    same(applied, host)

    host.write(second)
    fail_on_the_way(host, step, done=done)
    same(applied, host)
    host.applied()
    after_both = host.look()
    assert host.applied().out[-1] == "no changes"
    host.destroyed()
    same(before, host)
    assert not STATE.exists()

    fail_on_the_way(host, step, done=done)
    same(before, host)
    host.applied()
    same(after_both, host)
    host.destroyed()
    same(before, host)


def fail_on_the_way(host: Host, step: int, *, done: bool) -> None:
    """Let one step of the way to the site file fail, if it has any."""
    steps = host.apply("--dry-run").total
    if not steps:
        return
    with pytest.MonkeyPatch.context() as patch:
        with sabotaged(patch, raising(KernelError("no")), step % steps, done=done):
            assert host.apply().code == 3


@pytest.mark.parametrize("share", range(SHARES))
def test_any_history_keeps_the_four_promises(host: Host, share: int) -> None:
    @seed(budget.seed() + share)
    @settings(
        max_examples=budget.examples(PLAYED // SHARES),
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(sites(), sites(), foreigners(), st.tuples(st.integers(0, 29), st.booleans()))
    def any_history(
        first: str, second: str, foreign: list[Foreign], fault: tuple[int, bool]
    ) -> None:
        bare = host.look()
        put: list[Foreign] = []
        try:
            for thing in foreign:
                typed(host, thing.put)
                put.append(thing)
            step, done = fault
            play(host, first, second, step, done=done)
        finally:
            host.run("--destroy")
            for thing in reversed(put):
                typed(host, thing.take)
        same(bare, host)

    any_history()
