"""A sample of the campaign (``python -m tests.faults``): any call of a run may go wrong."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import pytest

from tests.faults import campaign
from tests.faults.scenarios import SCENARIOS
from tests.faults.theatre import Theatre
from tests.lab import budget

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.play import Case

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

MANY = 1000  # pairs of site files to choose from


def chosen() -> list[str]:
    """Some scenarios, and a pair of site files drawn by lot; or all of them, and ten pairs."""
    chance = random.Random(budget.seed())  # noqa: S311 - a choice of tests
    some = chance.sample(list(SCENARIOS), min(len(SCENARIOS), budget.examples(2)))
    pairs = chance.sample(range(1, MANY), min(10, budget.examples(1)))
    return [*some, *(f"pair-{number}" for number in pairs)]


def cases(theatre: Theatre) -> Iterator[Case]:
    for name in chosen():
        yield from itertools.islice(
            campaign.in_turn(theatre, [name], budget.seed()), budget.examples(5)
        )


def test_whatever_fails_is_told_as_it_is_and_the_next_run_ends_clean() -> None:
    told = []
    with Theatre() as theatre:
        for case in cases(theatre):
            result = theatre.play(case)
            told += [
                f"python -m tests.faults --case {result.id}: exit {result.code}: {problem}"
                for problem in result.problems
            ]
    assert told == []
