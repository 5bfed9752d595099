"""A batch of a kind does what its changes do one by one, on the real kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.protocol import OUR_PROTOCOL
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kinds import all_kinds, route
from netplan_tproxy.kinds.route import Route
from netplan_tproxy.kinds.rule import Rule
from netplan_tproxy.resource.kind import BatchKind, Ends
from tests.lab import Lab
from tests.lab.budget import examples

if TYPE_CHECKING:
    from netplan_tproxy.resource.values import Resource
    from tests.lab import Namespace

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

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
