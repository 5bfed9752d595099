"""One case: a scenario, a fault, and a run after it that must end clean."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from tests.faults.judge import problems
from tests.faults.scenarios import SCENARIOS, Ends
from tests.faults.strace import Fault, hit, traced
from tests.faults.world import World, differing

if TYPE_CHECKING:
    from pathlib import Path

FOLLOWING = ("apply", "destroy")


@dataclass(frozen=True)
class Case:
    """``following`` is the run after it."""

    scenario: str
    fault: Fault
    following: str

    @property
    def id(self) -> str:
        fault = self.fault
        return f"{self.scenario}/{fault.name}/{fault.effect}/{fault.when}/{self.following}"


@dataclass
class Result:
    """What came of a case. ``hit`` is the call that was disturbed, "" without one."""

    id: str
    code: int = 0
    hit: str = ""
    problems: list[str] = field(default_factory=list)
    said: str = ""
    clean: bool = True

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def case_of(text: str) -> Case:
    """Read an id back."""
    scenario, name, effect, when, following = text.split("/")
    return Case(scenario, Fault(name, effect, int(when)), following)


def play(case: Case, world: World, ends: Ends, log: Path) -> Result:
    """Play it. A world that is not clean after it (``clean``) is of no use any more."""
    scenario = SCENARIOS[case.scenario]
    result = Result(case.id)
    log.unlink(missing_ok=True)
    try:
        scenario.prepare(world)
        ran = world.run(*scenario.words(world), prefix=traced(log, case.fault.words))
        result.code, result.hit = ran.code, hit(log, case.fault)
        result.said = ran.err.strip()[-600:]
        result.problems = problems(scenario, case.fault, ran, ends, world.look())
        _go_on(case, world, ends, result)
    except Exception as failure:  # noqa: BLE001 - a case that breaks down is a result too
        result.problems.append(f"broke down: {type(failure).__name__}: {failure}"[:400])
        result.clean = False
    return result


def _go_on(case: Case, world: World, ends: Ends, result: Result) -> None:
    """Run what follows, and see that it ends as if nothing had been."""
    world.settle()
    if case.following == "apply":
        adopt = ("--adopt",) if SCENARIOS[case.scenario].in_the_way else ()
        world.write(world.first)
        done = world.host.run(str(world.host.site), *adopt)
        if (done.code, done.err) != (0, ""):
            result.problems.append(f"the apply after it: exit {done.code}: {done.err[:300]}")
        again = world.host.run(str(world.host.site), "--check", *adopt)
        if not again.is_as_the_file_says:
            result.problems.append(f"the check after it: exit {again.code}: {again.err[:300]}")
    result.problems += [f"the destroy after it: {line}" for line in world.wipe()]
    left = differing(ends.bare, world.look())
    result.problems += [f"left behind: {line}" for line in left]
    result.clean = not left
