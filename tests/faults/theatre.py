"""The worlds that cases are played in, and what the scenarios do in them undisturbed."""

from __future__ import annotations

import compileall
import re
import tempfile
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import netplan_tproxy
from tests.faults import world as worlds
from tests.faults.judge import Ends
from tests.faults.play import play
from tests.faults.scenarios import Scenario, scenario_of
from tests.faults.strace import Made, counting, counts, first_process, made, traced
from tests.faults.world import COMMAND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.faults.play import Case, Result
    from tests.faults.world import World

_BY_CHANCE = "mmap"  # When the allocator asks for more depends on where its memory lies.
_BEGINS = re.compile(r"/journal\.jsonl.*O_TRUNC")


@dataclass
class Stage:
    """A world, and the ends of the scenarios that were played in it."""

    stack: ExitStack
    world: World
    _ends: dict[str, Ends] = field(default_factory=dict)

    def ends(self, scenario: Scenario) -> Ends:
        """Play a scenario undisturbed once, and look."""
        if scenario.name not in self._ends:
            words = scenario.ready(self.world)
            before = self.world.look()
            self.world.standing = "unknown"
            done = self.world.host.run(*words)
            if done.code != scenario.code:
                raise AssertionError(f"{scenario.name}: exit {done.code}: {done.err}")
            self._ends[scenario.name] = Ends(before, self.world.look())
            self.world.back()
        return self._ends[scenario.name]


class Theatre:
    """Worlds to play in: one with things of others in the way, one without, one a pair of files."""

    def __init__(self) -> None:
        self._stages: dict[str, Stage] = {}
        self._calls: dict[str, list[Made]] = {}
        self._stack = ExitStack()
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        # An installed package is compiled, and reading it is most of what a run does at first.
        compileall.compile_dir(next(iter(netplan_tproxy.__path__)), quiet=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for key in list(self._stages):
            self._drop(key)
        self._stack.close()

    def play(self, case: Case) -> Result:
        """Play one case. What it spoils is not used again."""
        scenario = scenario_of(case.scenario)
        result = play(case, self._stage(scenario), self._folder / "log")
        if not result.clean:
            self._drop(_key(scenario))
        return result

    def places(self, name: str) -> dict[str, range]:
        """Give the calls of a scenario that are to be disturbed, each from 1."""
        scenario = scenario_of(name)
        calls = self._made(scenario)
        own = first_process(calls)
        skipped, until = 0, len(own)
        if scenario.compiling:
            skipped = next(n for n, one in enumerate(own) if "/bcc/" in one.line)
            until = next(n for n, one in enumerate(own) if _BEGINS.search(one.line))
        elif scenario.begins_as:
            skipped = self._alike(own, first_process(self._made(scenario_of(scenario.begins_as))))
        begun = counts(own[:skipped])
        most = counts(own[:until]) if scenario.compiling else counts(calls)
        return {
            call: range(begun.get(call, 0) + 1, last + 1)
            for call, last in most.items()
            if last > begun.get(call, 0)
        }

    def _alike(self, one: Sequence[Made], other: Sequence[Made]) -> int:
        """Count the calls with which ``one`` begins like ``other``."""
        folders = [str(self._folder), COMMAND.rpartition("/")[0]]
        expected = (call.alike(folders) for call in other if call.call != _BY_CHANCE)
        for number, call in enumerate(one):
            if call.call != _BY_CHANCE and call.alike(folders) != next(expected, None):
                return number
        return len(one)

    def _made(self, scenario: Scenario) -> list[Made]:
        """Take down the calls of its run."""
        if scenario.name not in self._calls:
            stage = self._stage(scenario)
            stage.ends(scenario)
            words, log = scenario.ready(stage.world), self._folder / "log"
            stage.world.standing = "unknown"
            ran = stage.world.run([COMMAND, *words], traced(log, counting()))
            if ran.code != scenario.code:
                raise AssertionError(f"{scenario.name}: exit {ran.code}: {ran.err}")
            self._calls[scenario.name] = list(made(log))
            stage.world.back()
        return self._calls[scenario.name]

    def _stage(self, scenario: Scenario) -> Stage:
        key = _key(scenario)
        if key not in self._stages:
            # Of those drawn by lot one at a time is there.
            for drawn in [one for one in self._stages if scenario.pair and one.startswith("pair")]:
                self._drop(drawn)
            with ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                world = stack.enter_context(_world(scenario, folder))
                self._stages[key] = Stage(stack.pop_all(), world)
        return self._stages[key]

    def _drop(self, key: str) -> None:
        """Begin with another world."""
        stage = self._stages.pop(key, None)
        if stage is not None:
            stage.stack.close()


def _key(scenario: Scenario) -> str:
    if scenario.pair:
        return scenario.name
    return "in the way" if scenario.in_the_way else ""


def _world(scenario: Scenario, folder: Path) -> AbstractContextManager[World]:
    if scenario.pair:
        first, second, foreign = scenario.pair
        lines = [line for one in foreign for line in one.put.split(";")]
        return worlds.made(folder, *lines, files=(first, second), wans=2)
    if scenario.in_the_way:
        return worlds.made(folder, *worlds.BESIDE, *worlds.IN_THE_WAY, adopt=True)
    return worlds.made(folder, *worlds.BESIDE)
