"""One case: a scenario, a fault, and a run after it that must end clean."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from netplan_tproxy.reconcile.outcome import GOING_BACK
from tests.faults.churn import churning
from tests.faults.judge import problems
from tests.faults.scenarios import scenario_of
from tests.faults.strace import Fault, hit, traced
from tests.faults.world import COMMAND

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.theatre import Stage

APPLY, DESTROY = "apply", "destroy"
FOLLOWING = (APPLY, DESTROY)


@dataclass(frozen=True)
class Case:
    """``following`` is the run after it."""

    scenario: str
    fault: Fault
    following: str

    @property
    def id(self) -> str:
        fault = self.fault
        return f"{self.scenario}/{fault.call}/{fault.effect}/{fault.when}/{self.following}"


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
    scenario, call, effect, when, following = text.split("/")
    return Case(scenario, Fault(call, effect, int(when)), following)


def play(case: Case, stage: Stage, log: Path) -> Result:
    """Play it. A world that is not clean after it (``clean``) is of no use any more."""
    scenario, world = scenario_of(case.scenario), stage.world
    ends = stage.ends(scenario)
    result = Result(case.id)
    log.unlink(missing_ok=True)
    try:
        words = scenario.ready(world)
        world.standing = "unknown"
        meanwhile = churning(world.host.namespace) if scenario.churn else nullcontext()
        with meanwhile:
            ran = world.run([COMMAND, *words], traced(log, case.fault.words))
        result.code, result.hit = ran.code, hit(log, case.fault)
        result.said = ran.err.strip()[-600:]
        if GOING_BACK in ran.err:
            world.gone()
        result.problems = problems(scenario, case.fault, ran, ends, world.look())
        if case.following == APPLY:
            world.apply()
        else:
            world.back()
    except Exception as failure:  # noqa: BLE001 - a case that breaks down is a result too
        result.problems.append(f"{type(failure).__name__}: {failure}"[:800])
        result.clean = False
    return result
