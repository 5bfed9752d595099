"""Pairs of site files, and things of others beside them, drawn by lot."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.transactions.histories.sites import Foreign, foreigners, sites


class Drawn(NamedTuple):
    """Two site files, and what others put there before."""

    first: str
    second: str
    foreign: tuple[Foreign, ...]


def drawn(number: int) -> Drawn:
    """Give the pair of that number: always the same with the same version of hypothesis."""
    pairs: list[Drawn] = []

    @seed(number)
    @settings(
        # The first example is the simplest there is.
        max_examples=5,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(sites(), sites(), foreigners())
    def draw(first: str, second: str, foreign: list[Foreign]) -> None:
        pairs.append(Drawn(first, second, tuple(foreign)))

    draw()
    return next((pair for pair in reversed(pairs) if pair.first != pair.second), pairs[-1])
