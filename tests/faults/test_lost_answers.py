"""An answer of the kernel's that is lost (ENOBUFS, netlink(7)) at any place of a run."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from tests.faults.campaign import Theatre, counted
from tests.faults.play import FOLLOWING, Case, play
from tests.faults.strace import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

# How many places are tried; "all" is for `make soak`.
PLACES = os.environ.get("FAULTS", "3")


@pytest.fixture(scope="module")
def theatre() -> Iterator[Theatre]:
    made = Theatre()
    yield made
    made.close()


@pytest.mark.parametrize("scenario", ["change", "destroy"])
def test_a_lost_answer_is_told_and_undone(theatre: Theatre, scenario: str, tmp_path: Path) -> None:
    most = counted(theatre, scenario).get("receive", 0)
    chance = random.Random(scenario)  # noqa: S311 - a choice, no secret
    places = range(1, most + 1)
    tried = places if PLACES == "all" else chance.sample(places, int(PLACES))
    for when in tried:
        case = Case(scenario, Fault("receive", "error=ENOBUFS", when), chance.choice(FOLLOWING))
        world, ends = theatre.stage(scenario)
        result = play(case, world, ends, tmp_path / "log")
        assert (result.problems, bool(result.hit)) == ([], True), result
