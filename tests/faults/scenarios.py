"""What is done while faults strike, and what the world is like before and after."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from tests.faults.drawn import Drawn, drawn

if TYPE_CHECKING:
    from tests.faults.world import World

BARE, APPLIED, PENDING = "bare", "applied", "pending"


@dataclass(frozen=True)
class Scenario:
    """A run of the command, ``arguments`` after the site file, in a world that is ``start``.

    Of the two site files it is given the second if ``to_second``, none if not ``with_file``.
    """

    name: str
    start: str
    arguments: tuple[str, ...] = ()
    with_file: bool = True
    to_second: bool = False
    in_the_way: bool = False
    # What a run that is not disturbed ends with.
    code: int = 0
    # Whether only its compiling counts: what comes before and after is another's.
    compiling: bool = False
    # Another one that begins with the very same calls: those are played there.
    begins_as: str = ""
    # The site files, and what others have and do meanwhile, if they were drawn by lot.
    pair: Drawn | None = None
    churn: bool = False

    def ready(self, world: World) -> list[str]:
        """Bring the world there, and give the words of the run."""
        world.bring(self.start)
        world.write(world.second if self.to_second else world.first)
        return [str(world.host.site)] * self.with_file + list(self.arguments)


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("first", BARE, begins_as="again"),
        Scenario("compile", BARE, ("--no-cache",), compiling=True),
        Scenario("change", APPLIED, to_second=True, begins_as="again"),
        Scenario("again", APPLIED),
        Scenario("adopt", BARE, ("--adopt",), in_the_way=True, begins_as="again"),
        Scenario("destroy", APPLIED, ("--destroy",), with_file=False),
        Scenario(
            "give-back", APPLIED, ("--destroy",), with_file=False, in_the_way=True,
            begins_as="destroy",
        ),
        Scenario("confirm", BARE, ("--confirm", "1"), code=3, begins_as="again"),
        Scenario("commit", PENDING, ("--commit",), with_file=False),
        Scenario("rollback", PENDING, ("--rollback",), with_file=False),
    )
}  # fmt: skip


@cache
def scenario_of(name: str) -> Scenario:
    """Give the scenario of that name; ``pair-N`` is one of those drawn by lot."""
    if name in SCENARIOS:
        return SCENARIOS[name]
    number = int(name.removeprefix("pair-"))
    pair, churn = drawn(number), number % 2 == 1
    if number % 3 == 0:
        return Scenario(name, APPLIED, to_second=True, begins_as="again", pair=pair, churn=churn)
    if number % 3 == 1:
        return Scenario(
            name, APPLIED, ("--destroy",), with_file=False, begins_as="destroy", pair=pair,
            churn=churn,
        )  # fmt: skip
    return Scenario(name, BARE, begins_as="again", pair=pair, churn=churn)
