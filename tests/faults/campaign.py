"""All faults there are, in an order drawn by lot, as far as time allows; it can be resumed."""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults import world as worlds
from tests.faults.play import FOLLOWING, Case, Result, play
from tests.faults.scenarios import SCENARIOS, Ends, ends
from tests.faults.strace import DELAY, ERRORS, SIGNALS, Fault, counting, counts, traced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.faults.world import World

EFFECTS = tuple(f"error={name}" for name in ERRORS) + tuple(
    f"signal={name}" for name in SIGNALS
) + (DELAY,)  # fmt: skip


@dataclass
class Stage:
    """A world, and the ends of the scenarios that were played in it."""

    stack: ExitStack
    world: World
    known: dict[str, Ends] = field(default_factory=dict)


class Theatre:
    """Worlds to play in: one with things of others in the way, one without."""

    def __init__(self) -> None:
        self._stages: dict[bool, Stage] = {}

    def stage(self, name: str) -> tuple[World, Ends]:
        """Give a world in which the scenario can be played, and its ends."""
        scenario = SCENARIOS[name]
        stage = self._stages.get(scenario.in_the_way)
        if stage is None:
            stack = ExitStack()
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            more = worlds.IN_THE_WAY if scenario.in_the_way else ()
            stage = Stage(stack, stack.enter_context(worlds.made(Path(folder), *more)))
            self._stages[scenario.in_the_way] = stage
        if name not in stage.known:
            stage.known[name] = ends(scenario, stage.world)
        return stage.world, stage.known[name]

    def drop(self, name: str) -> None:
        """Begin with another world: the one of this scenario is not clean any more."""
        stage = self._stages.pop(SCENARIOS[name].in_the_way, None)
        if stage is not None:
            stage.stack.close()

    def close(self) -> None:
        """Remove all of them."""
        for stage in self._stages.values():
            stage.stack.close()
        self._stages.clear()


def counted(theatre: Theatre, name: str) -> dict[str, int]:
    """Count the calls of a scenario's run."""
    world, _ = theatre.stage(name)
    scenario = SCENARIOS[name]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        scenario.prepare(world)
        ran = world.run(*scenario.words(world), prefix=traced(log, counting()))
        if ran.code != scenario.code:
            raise AssertionError(f"{name}: exit {ran.code}: {ran.err}")
        if world.wipe():
            theatre.drop(name)
        return counts(log)


def all_cases(theatre: Theatre, scenarios: Iterable[str], seed: int) -> list[Case]:
    """Count the calls of each scenario and give every case there is, in an order by lot."""
    cases = [
        Case(name, Fault(call, effect, when), "")
        for name in scenarios
        for call, most in counted(theatre, name).items()
        for when in range(1, most + 1)
        for effect in EFFECTS
    ]
    chance = random.Random(seed)  # noqa: S311 - an order, no secret
    chance.shuffle(cases)
    return [Case(case.scenario, case.fault, chance.choice(FOLLOWING)) for case in cases]


def run(
    theatre: Theatre, cases: Iterable[Case], until: float, tell: Callable[[Result], None]
) -> None:
    """Play them until ``until`` (time.monotonic)."""
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            if time.monotonic() > until:
                return
            world, expected = theatre.stage(case.scenario)
            result = play(case, world, expected, Path(folder) / "log")
            tell(result)
            if not result.clean:
                theatre.drop(case.scenario)


def read(path: Path) -> dict[str, Result]:
    """Read what an earlier run wrote down, by the case's id."""
    if not path.exists():
        return {}
    results = (Result(**json.loads(line)) for line in path.read_text().splitlines())
    return {result.id: result for result in results}


def summary(results: Iterable[Result], total: int) -> list[str]:
    """Count them by outcome."""
    played = list(results)
    hits = [result for result in played if result.hit]
    bad = [result for result in played if result.problems]
    codes = Counter(result.code for result in hits)
    lines = [f"{len(played)} of {total} cases played, {len(hits)} faults hit"]
    lines += [f"  exit {code}: {count}" for code, count in sorted(codes.items())]
    lines.append(f"{len(bad)} with problems")
    kinds = Counter(_kind(result) for result in bad)
    lines += [f"  {count} times: {kind}" for kind, count in kinds.most_common()]
    return lines


def _kind(result: Result) -> str:
    scenario, name, effect, *_ = result.id.split("/")
    effect = effect.partition(":")[0]
    return f"{scenario}: {name}: {effect}: exit {result.code}: {result.problems[0][:90]}"
