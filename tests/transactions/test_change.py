"""Another site file: B after A is B alone, and destroy leads back to before A."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab import Lab, diff_snapshots
from tests.lab.host import SITE, Host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

TWO = SITE.replace("wan0: {}", "wan0: {}\n  wan1: {}")
OTHER_TABLE = "route_tables: {100000: [{to: default}]}\n"
EVERYTHING = (
    TWO.replace("9040", "9041")
    + OTHER_TABLE
    + "rules: [{mark: intercept, table: 100000, priority: 77}]\n"
    + "marks: {intercept: 0x40/0xf0, bypass: 0x100/0x100}\n"
    + "sysctls: {net.ipv4.ip_default_ttl: 33}\n"
)
SITES = {
    "smallest": (SITE, 0),
    "another port": (SITE.replace("9040", "9041"), 1),
    "other marks": (SITE + "marks: {intercept: 0x4/0x4, bypass: 0x8/0x8}\n", 3),
    "another table": (SITE + OTHER_TABLE, 4),
    "another interface": (SITE.replace("wan0", "wan1"), 6),
    "one interface more": (TWO, 3),
    "a priority": (SITE + "rules: [{mark: intercept, table: 100, priority: 77}]\n", 2),
    "one route more": (SITE + "route_tables: {100: [{to: default}, {to: 192.0.2.0/24}]}\n", 1),
    "one sysctl more": (SITE + "sysctls: {net.ipv4.ip_default_ttl: 33}\n", 1),
    "everything": (EVERYTHING, 9),
}
"""Each with the number of changes that lead to it from the smallest."""


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Host]:
    """A host with two uplinks."""
    with Lab(wans=2) as lab:
        made = Host(lab, tmp_path)
        yield made
        made.destroyed()


@pytest.mark.parametrize("name", SITES)
def test_b_after_a_is_b_alone_and_destroy_is_as_if_neither_had_been(two: Host, name: str) -> None:
    text, changes = SITES[name]
    before = two.look()
    two.write(text)
    two.applied()
    alone = two.look()
    two.destroyed()
    assert diff_snapshots(before, two.look()) == []
    two.write(SITE)
    two.applied()
    smallest = two.look()
    two.write(text)
    assert two.apply().total == changes
    assert diff_snapshots(alone, two.look()) == []
    two.write(SITE)
    assert two.apply().total == changes
    assert diff_snapshots(smallest, two.look()) == []
    two.destroyed()
    assert diff_snapshots(before, two.look()) == []


@pytest.mark.parametrize(
    "name", ["another port", "other marks", "one interface more", "everything"]
)
def test_a_change_of_the_file_loads_no_program_and_replaces_no_map(two: Host, name: str) -> None:
    two.applied()
    before = two.stare()["pins"]
    two.write(SITES[name][0])
    two.applied()
    assert two.stare()["pins"] == before


def test_a_priority_left_out_stays_where_it_is_while_others_move(host: Host) -> None:
    rules = "marks: {intercept: 0x1/0x1}\nrules:\n  - {mark: intercept, table: 100}\n"
    host.write(SITE + rules)
    host.applied()
    host.write(SITE)
    assert host.applied().out == ["no changes"]
