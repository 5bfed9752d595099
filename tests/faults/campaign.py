"""All faults there are, in an order drawn by lot in which each kind has its turn."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from tests.faults.play import APPLY, DESTROY, FOLLOWING, Case, Result
from tests.faults.scenarios import BARE, scenario_of
from tests.faults.strace import EFFECTS, Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.faults.theatre import Theatre

_TURN = 8  # another scenario begins elsewhere, and to bring the world there costs something


def cases(theatre: Theatre, scenario: str, seed: int) -> list[list[Case]]:
    """Give every case of a scenario in rounds: each has one of each call and effect that is left.

    Which place comes in which round is drawn by lot.
    """
    drawn, start = [], scenario_of(scenario).start
    for call, places in theatre.places(scenario).items():
        for effect in EFFECTS:
            chance = random.Random(f"{seed}/{scenario}/{call}/{effect}")  # noqa: S311 - no secret
            drawn.append(
                [
                    Case(scenario, Fault(call, effect, when), following(chance, start))
                    for when in chance.sample(places, len(places))
                ]
            )
    rounds = [[case for case in row if case is not None] for row in itertools.zip_longest(*drawn)]
    for number, row in enumerate(rounds):
        random.Random(f"{seed}/{scenario}/{number}").shuffle(row)  # noqa: S311 - an order
    return rounds


def following(chance: random.Random, start: str) -> str:
    """Draw the run after it. One in three leads elsewhere than where the next case starts."""
    back = DESTROY if start == BARE else APPLY
    return chance.choice((back, back, *(one for one in FOLLOWING if one != back)))


def in_turn(theatre: Theatre, scenarios: Iterable[str], seed: int) -> Iterator[Case]:
    """Give all cases, round by round: in each one the scenarios take turns, a few cases each."""
    each = [cases(theatre, scenario, seed) for scenario in scenarios]
    for rounds in itertools.zip_longest(*each, fillvalue=[]):
        for start in range(0, max(map(len, rounds)), _TURN):
            for row in rounds:
                yield from row[start : start + _TURN]


def read(path: Path) -> dict[str, Result]:
    """Read what an earlier run wrote down, by the case's id."""
    if not path.exists():
        return {}
    results = (Result(**json.loads(line)) for line in path.read_text().splitlines())
    return {result.id: result for result in results}


def summary(results: Iterable[Result]) -> list[str]:
    """Count them: by call, by effect, by exit code; and what problems there are."""
    played = list(results)
    lines = []
    for title, part in (("scenario", 0), ("call", 1), ("effect", 2)):
        rows: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for result in played:
            words = result.id.split("/")
            name = "pair" if part == 0 and words[0].startswith("pair-") else words[part]
            rows[name] += Counter(played=1, hit=bool(result.hit), problems=bool(result.problems))
        rows["all"] = sum(rows.values(), Counter())
        lines.append(f"{title:20} {'played':>8} {'hit':>8} {'problems':>8}")
        lines += [
            f"{name:20} {row['played']:8} {row['hit']:8} {row['problems']:8}"
            for name, row in rows.items()
        ]
    codes = Counter(result.code for result in played if result.hit)
    lines += [f"exit {code}: {count}" for code, count in sorted(codes.items())]
    kinds = Counter(_kind(result) for result in played if result.problems)
    lines += [f"{count} times: {kind}" for kind, count in kinds.most_common()]
    return lines


def _kind(result: Result) -> str:
    scenario, call, effect, *_ = result.id.split("/")
    return f"{scenario}: {call}: {effect}: exit {result.code}: {result.problems[0][:90]}"
