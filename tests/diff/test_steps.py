"""Many changes at once: what fails among them is named, and all that was begun is undone."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, ClassVar, Self, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.snapshot import Snapshot
from netplan_tproxy.datapath.wanted import Wanted
from netplan_tproxy.errors import KernelError, NotPutBackError, RolledBackError
from netplan_tproxy.reconcile.diff import by_id, diff
from netplan_tproxy.reconcile.steps import listed, steps
from netplan_tproxy.reconcile.transaction import execute
from netplan_tproxy.resource.kind import BatchKind, Ends, Kind
from netplan_tproxy.resource.ranks import Rank
from netplan_tproxy.resource.values import Change, Resource
from netplan_tproxy.system.signals import Interrupts

MOST = 10


@dataclass(frozen=True)
class Thing(Resource):
    """One of many."""

    kind: ClassVar[str] = "thing"

    number: int
    setting: int = 0

    @property
    def key(self) -> str:
        return str(self.number)

    @property
    def rank(self) -> Rank:
        return Rank.ROUTE

    @property
    def title(self) -> str:
        return f"{self.kind} {self.number}"

    @property
    def parts(self) -> tuple[str, ...]:
        return (str(self.setting),)

    @property
    def signed(self) -> bool:
        return True


@dataclass(frozen=True)
class Lone(Thing):
    """One that is made by itself."""

    kind: ClassVar[str] = "lone"

    @property
    def rank(self) -> Rank:
        return Rank.RULE


@dataclass
class Memory:
    """A kernel that holds things, and refuses those whose numbers are in ``refused``."""

    things: dict[Any, Thing] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)
    refused_back: set[int] = field(default_factory=set)

    def build(self) -> None:
        pass

    def links(self) -> dict[str, Any]:
        return {}

    def snapshot(self) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def make(self, before: Thing | None, after: Thing | None) -> None:
        subject = after or before
        assert subject is not None
        refused = self.refused if after is not None else self.refused_back
        if subject.number in refused:
            raise KernelError(f"make {subject.title}: no", 17)
        if after is None:
            self.things.pop(subject.id, None)
        else:
            self.things[subject.id] = after


def observed(memory: Memory, of: type[Thing]) -> list[Thing]:
    return [thing for thing in memory.things.values() if type(thing) is of]


class LoneKind(Kind[Lone]):
    resource = Lone

    def desired(self, wanted: Wanted) -> Iterable[Lone]:
        raise NotImplementedError

    def observe(self, seen: Snapshot, scope: Sequence[Lone]) -> Iterable[Lone]:
        del scope
        return cast("list[Lone]", observed(cast("Memory", seen), Lone))

    def make(self, kernel: Kernel, before: Lone | None, after: Lone | None) -> None:
        cast("Memory", kernel).make(before, after)


class ThingKind(BatchKind[Thing]):
    resource = Thing
    most = MOST

    def __init__(self) -> None:
        self.batches: list[int] = []

    def desired(self, wanted: Wanted) -> Iterable[Thing]:
        raise NotImplementedError

    def observe(self, seen: Snapshot, scope: Sequence[Thing]) -> Iterable[Thing]:
        del scope
        return observed(cast("Memory", seen), Thing)

    def make(self, kernel: Kernel, before: Thing | None, after: Thing | None) -> None:
        cast("Memory", kernel).make(before, after)

    def make_many(
        self, kernel: Kernel, changes: Sequence[Ends[Thing]]
    ) -> Mapping[int, KernelError]:
        self.batches.append(len(changes))
        failures = {}
        for number, (before, after) in enumerate(changes):
            try:
                self.make(kernel, before, after)
            except KernelError as refusal:
                failures[number] = refusal
        return failures


class Lines:
    """A journal; ``begun`` are the ranges."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, int]] = []
        self.open = False

    def begin(self, changes: Sequence[Change]) -> None:
        del changes
        self.open = True

    def intend(self, first: int, last: int) -> None:
        self.begun.append((first, last))

    def abandon(self) -> None:
        self.open = False


def run(memory: Memory, *wanted: Thing) -> tuple[Lines, ThingKind]:
    """Make what is there what is wanted."""
    kind, lines = ThingKind(), Lines()
    owned = dict(memory.things)
    plan = diff(by_id(wanted), owned, {}, adopt=True)
    execute(
        plan,
        {"thing": kind, "lone": LoneKind()},
        cast("Kernel", memory),
        lines,
        Interrupts(),
        finish=lambda _: lines.abandon(),
    )
    return lines, kind


numbers = st.sets(st.integers(0, 60), max_size=60)


def things(numbers: Iterable[int], setting: int = 0) -> list[Thing]:
    return [(Thing if number % 7 else Lone)(number, setting) for number in sorted(numbers)]


@given(numbers, numbers)
def test_changes_of_one_kind_are_made_together_and_written_down_before(
    before: set[int], after: set[int]
) -> None:
    memory = Memory(dict(by_id(things(before))))  # type: ignore[arg-type]
    wanted = things(after, 1)
    lines, kind = run(memory, *wanted)
    assert memory.things == by_id(wanted)
    made = [number for first, last in lines.begun for number in range(first, last + 1)]
    assert made == list(range(len(before | after)))
    up = sum(number % 7 > 0 for number in after)
    down = sum(number % 7 > 0 for number in before - after)
    lone = sum(number % 7 == 0 for number in before | after)
    assert len(lines.begun) <= math.ceil(up / MOST) + math.ceil(down / MOST) + lone
    assert all(last - first < MOST for first, last in lines.begun)
    assert all(1 < size <= MOST for size in kind.batches)


@given(numbers, st.sets(st.integers(0, 60), min_size=1), st.data())
def test_what_fails_among_many_is_named_and_everything_begun_is_undone(
    before: set[int], after: set[int], data: st.DataObject
) -> None:
    refused = data.draw(st.sets(st.sampled_from(sorted(after)), min_size=1))
    before -= refused  # what is refused could not be put back either
    memory = Memory(dict(by_id(things(before))), refused)  # type: ignore[arg-type]
    there = dict(memory.things)
    with pytest.raises(RolledBackError) as error:
        run(memory, *things(after, 1))
    assert memory.things == there
    named = re.findall(r"(?:thing|lone) (\d+): no", str(error.value))
    assert len(named) == 1
    assert int(named[0]) in refused
    assert str(error.value).endswith("; everything was put back")


def test_how_many_failed_is_said() -> None:
    with pytest.raises(RolledBackError) as error:
        run(Memory(refused={1, 2, 4}), *things(range(1, 7)))
    assert str(error.value) == "make thing 1: no, and 2 more; everything was put back"


def test_what_cannot_be_undone_among_many_is_named_one_by_one() -> None:
    memory = Memory(refused={5}, refused_back={2, 3})
    with pytest.raises(NotPutBackError) as error:
        run(memory, *things(range(1, 7)))
    assert set(memory.things) == {Thing(2).id, Thing(3).id}
    for number in (2, 3):
        assert f"- thing {number}: 0; " in str(error.value)
        assert f"- thing {number}: 0: make thing {number}: no" in str(error.value)


def test_beyond_a_hundred_lines_are_counted() -> None:
    assert listed(["a"] * 100) == "; ".join(["a"] * 100)
    assert listed(["a"] * 102) == "; ".join(["a"] * 100) + "; and 2 more"


@given(st.lists(st.booleans(), max_size=50))
def test_steps_are_all_changes_in_their_order(which: list[bool]) -> None:
    changes = [
        Change(None, (Thing if batch else Lone)(number)) for number, batch in enumerate(which)
    ]
    cut = list(steps(changes, {"thing": ThingKind(), "lone": LoneKind()}))
    assert [change for step in cut for change in step] == changes
    assert all(len({change.id.kind for change in step}) == 1 for step in cut)
    assert all(len(step) <= (MOST if step[0].id.kind == "thing" else 1) for step in cut)
