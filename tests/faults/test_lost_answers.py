"""An answer of the kernel's that is lost (ENOBUFS, netlink(7)) at any place of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.play import FOLLOWING, Case
from tests.faults.strace import Fault
from tests.faults.theatre import Theatre
from tests.lab import budget

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

_RECEIVE = ("recvmsg", "recvfrom")
SHARE = 25  # one in so many places as a rule, all of them in `make soak`


@pytest.fixture(scope="module")
def theatre() -> Iterator[Theatre]:
    with Theatre() as opened:
        yield opened


@pytest.mark.parametrize("scenario", ["change", "destroy"])
def test_a_lost_answer_is_told_and_undone(theatre: Theatre, scenario: str) -> None:
    places = [
        Fault(call, "error=ENOBUFS", when)
        for call, every in theatre.places(scenario).items()
        if call in _RECEIVE
        for when in every
    ]
    for number in budget.some(range(len(places)), SHARE):
        following = FOLLOWING[number % len(FOLLOWING)]
        result = theatre.play(Case(scenario, places[number], following))
        assert result.hit, f"--case {result.id}: it never came to pass"
        assert result.problems == [], f"python -m tests.faults --case {result.id}: {result}"
