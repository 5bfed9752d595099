"""What is done while faults strike, and what the world is like before and after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults.world import World

if TYPE_CHECKING:
    from tests.lab import Snapshot


@dataclass(frozen=True)
class Scenario:
    """``arguments`` come after the site file, unless it is not read (``with_file``)."""

    name: str
    prepare: Callable[[World], None]
    arguments: tuple[str, ...] = ()
    with_file: bool = True
    in_the_way: bool = False
    # What a run that is not disturbed ends with.
    code: int = 0

    def words(self, world: World) -> list[str]:
        return [str(world.host.site)] * self.with_file + list(self.arguments)


@dataclass(frozen=True)
class Ends:
    """The world without anything of ours, before the run, and after one that succeeds."""

    bare: Snapshot
    before: Snapshot
    after: Snapshot


def _nothing(world: World) -> None:
    world.write(world.first)


def _applied(world: World) -> None:
    world.write(world.first)
    world.succeed(str(world.host.site))


def _to_change(world: World) -> None:
    _applied(world)
    world.write(world.second)


def _adopted(world: World) -> None:
    world.write(world.first)
    world.succeed(str(world.host.site), "--adopt")


def _pending(world: World) -> None:
    world.write(world.first)
    world.pend()


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("first", _nothing),
        Scenario("change", _to_change),
        Scenario("again", _applied),
        Scenario("adopt", _nothing, ("--adopt",), in_the_way=True),
        Scenario("destroy", _to_change, ("--destroy",), with_file=False),
        Scenario("give-back", _adopted, ("--destroy",), with_file=False, in_the_way=True),
        Scenario("confirm", _nothing, ("--confirm", "1"), code=3),
        Scenario("commit", _pending, ("--commit",), with_file=False),
        Scenario("rollback", _pending, ("--rollback",), with_file=False),
    )
}


def ends(scenario: Scenario, world: World) -> Ends:
    """Play it undisturbed, and look."""
    bare = world.look()
    scenario.prepare(world)
    before = world.look()
    done = world.host.run(*scenario.words(world))
    if done.code != scenario.code:
        raise AssertionError(f"{scenario.name}: exit {done.code}: {done.err}")
    after = world.look()
    if world.wipe():
        raise AssertionError(f"{scenario.name}: not clean")
    return Ends(bare, before, after)
