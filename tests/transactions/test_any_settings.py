"""Any two sets of settings, from any beginning: each promise, for settings that change others.

With the kind ``sysctl`` alone, so that an example takes a few milliseconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.errors import KernelError, RolledBackError
from netplan_tproxy.kernel.host.sysctl_family import family
from netplan_tproxy.kinds import all_kinds
from netplan_tproxy.kinds.sysctl import Sysctl
from netplan_tproxy.reconcile import transaction
from netplan_tproxy.reconcile.diff import by_id, diff
from netplan_tproxy.resource.kind import Kind, Kinds, from_json
from netplan_tproxy.resource.values import Ledger, Owned, Plan, to_json
from netplan_tproxy.system.signals import Interrupts
from tests.lab import Lab, budget

if TYPE_CHECKING:
    from netplan_tproxy.datapath.snapshot import Snapshot
    from netplan_tproxy.datapath.wanted import Wanted
    from tests.lab import Namespace

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

ROOT = Path("/proc/sys")
FORWARD, ALL = "net/ipv4/ip_forward", "net/ipv4/conf/all/forwarding"
WAN = "net/ipv4/conf/wan0/forwarding"
NAMES = (
    FORWARD, ALL, WAN,
    "net/ipv4/conf/all/accept_redirects",
    "net/ipv4/conf/default/forwarding",
    "net/ipv4/conf/bare0/forwarding",
    "net/ipv4/conf/default/accept_redirects",
    "net/ipv4/conf/wan0/accept_redirects",
    "net/ipv4/conf/bare0/accept_redirects",
    "net/ipv6/conf/all/forwarding",
    "net/ipv6/conf/default/forwarding",
    "net/ipv6/conf/bare0/forwarding",
    "net/ipv6/conf/all/ignore_routes_with_linkdown",
    "net/ipv6/conf/bare0/ignore_routes_with_linkdown",
)  # fmt: skip
DEVICES = ("lo", "wan0", "bare0", "bare1")
PATHS = sorted({path for name in NAMES for path in (name, *family(name, DEVICES))})

Values = Mapping[str, str]


def agrees(file: Values) -> bool:
    """Whether the two names of one setting, where both are given, say the same."""
    return file.get(FORWARD, file.get(ALL)) == file.get(ALL, file.get(FORWARD))


anything = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["0", "1"]), max_size=7)
files = anything.filter(agrees)


def read(path: str) -> str:
    return (ROOT / path).read_text().strip()


def seen() -> Values:
    return {path: read(path) for path in PATHS}


class Failing(Kind[Sysctl]):
    """Fails after its change number ``at``."""

    resource = Sysctl

    def __init__(self, kind: Kind[Sysctl], at: int) -> None:
        self._kind = kind
        self._left = at

    def desired(self, wanted: Wanted) -> Iterable[Sysctl]:
        return self._kind.desired(wanted)

    def observe(self, seen: Snapshot, scope: Sequence[Sysctl]) -> Iterable[Sysctl]:
        return self._kind.observe(seen, scope)

    def make(self, kernel: Kernel, before: Sysctl | None, after: Sysctl | None) -> None:
        self._kind.make(kernel, before, after)
        self._left -= 1
        if self._left == -1:
            raise KernelError("no")


class Machine:
    """Runs, with a ledger that goes through JSON as on a host."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._kinds: Kinds = {"sysctl": all_kinds()["sysctl"]}
        self._ledger: Ledger = {}

    def plan(self, file: Values) -> Plan:
        desired = by_id(Sysctl(path, value) for path, value in file.items())
        scope = [*desired.values(), *(mine.ours for mine in self._ledger.values())]
        live = transaction.observe(self._kinds, self._kernel, scope)
        return diff(desired, live, self._ledger)

    def apply(self, file: Values) -> None:
        plan = self._execute(file, self._kinds)
        entries = [self._again(mine) for mine in (plan.ledger or {}).values()]
        self._ledger = {mine.ours.id: mine for mine in entries}
        assert self.plan(file).changes == ()
        assert {path: read(path) for path in file} == file

    def fail(self, file: Values, at: int) -> None:
        steps = len(self.plan(file).changes)
        if steps:
            with pytest.raises(RolledBackError):
                self._execute(file, {"sysctl": Failing(all_kinds()["sysctl"], at % steps)})

    def _execute(self, file: Values, kinds: Kinds) -> Plan:
        plan, journal = self.plan(file), transaction.NoJournal()
        transaction.execute(
            plan, kinds, self._kernel, journal, Interrupts(), finish=lambda _: None
        )  # fmt: skip
        return plan

    def _again(self, mine: Owned) -> Owned:
        ours, before = (
            from_json(self._kinds, json.loads(json.dumps(to_json(end))))
            for end in (mine.ours, mine.before)
        )
        assert ours is not None
        return Owned(ours, before)


@pytest.fixture(scope="module")
def world() -> Iterator[Namespace]:
    """One device with an address, two without."""
    with Lab() as lab:
        lab.host.run(["ip", "link", "add", "bare0", "type", "veth", "peer", "name", "bare1"])
        yield lab.host


@settings(
    max_examples=budget.examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example({}, [{FORWARD: "1", WAN: "0"}], {WAN: "1"}, 0)
@example({WAN: "1"}, [{FORWARD: "1"}], {FORWARD: "0"}, 0)
@given(anything, st.lists(files, max_size=3), files, st.integers(0, 6))
def test_the_last_file_counts_destroy_is_never_and_a_failure_is_nothing(
    world: Namespace, begin: Values, befores: list[Values], last: Values, at: int
) -> None:
    with world.entered(), Kernel() as kernel:
        original = seen()
        try:
            for path, value in begin.items():
                (ROOT / path).write_text(value)
            first = seen()
            alone = Machine(kernel)
            alone.apply(last)
            expected = seen()
            alone.apply({})
            assert seen() == first

            machine = Machine(kernel)
            for file in befores:
                machine.apply(file)
            between = seen()
            machine.fail(last, at)
            assert seen() == between
            machine.apply(last)
            assert seen() == expected
            machine.apply({})
            assert seen() == first
        finally:
            for path, value in (*original.items(), *original.items()):
                if read(path) != value:
                    (ROOT / path).write_text(value)
