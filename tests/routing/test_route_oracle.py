"""ip(8) is the oracle: what an apply makes is what the same words make that somebody types."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.lab import budget
from tests.routing.routes import Drawn, several_routes
from tests.routing.twins import HEAD, Twins, batch, differing, flow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
PLAYED = 60


@pytest.fixture(scope="module")
def twins() -> Iterator[Twins]:
    with tempfile.TemporaryDirectory() as folder, Twins(Path(folder), "routes") as pair:
        before = pair.shown("route")
        assert differing(before) == []
        yield pair
        pair.host.destroyed()
        assert pair.shown("route") == before


def site(twins: Twins, drawn: Sequence[Drawn], *, listed: bool) -> str:
    """The site file with these routes, in place or in a file."""
    text = HEAD + "rules: [{mark: intercept, table: 100}]\nroute_tables:\n  100: [{to: default}]\n"
    if listed:
        lines = "".join(f"{one.words()}\n" for one in drawn)
        (twins.folder / "more.routes").write_text(lines, encoding="utf-8")
        return text + "route_files: [more.routes]\n"
    tables: dict[str, list[object]] = {}
    for one in drawn:
        tables.setdefault(one.table, []).append(one.values)
    return text + "".join(f"  {table}: {flow(routes)}\n" for table, routes in tables.items())


def in_turn(drawn: Sequence[Drawn], *, listed: bool) -> list[Drawn]:
    """The order in which they are put: a table at a time, gateways last."""
    tables = list(dict.fromkeys(one.table for one in drawn))
    by_table = drawn if listed else sorted(drawn, key=lambda one: tables.index(one.table))
    return sorted(by_table, key=lambda one: one.onward)


def typed(twins: Twins, drawn: Sequence[Drawn], how: str = "add") -> str:
    """Type them into the twin; give the first refusal."""
    lines = {4: ["route replace local default dev lo table 100 proto 233"], 6: []}
    for one in drawn:
        lines[one.version].append(one.typed().replace("add", how, 1))
    return "".join(batch(twins.twin, "\n".join(lines[of]) + "\n", of) for of in lines)


def changed(one: Drawn) -> Drawn:
    """The same with one attribute otherwise."""
    if one.values["type"] in {"unicast", "local"}:
        mtu = 1300 if one.values.get("mtu") != 1300 else 1301
        return one._replace(values={**one.values, "mtu": mtu})
    kind = "throw" if one.values["type"] != "throw" else "prohibit"
    return one._replace(values={**one.values, "type": kind})


def test_any_routes_are_what_the_same_words_make_when_they_are_typed(twins: Twins) -> None:
    @seed(budget.seed())
    @settings(
        max_examples=budget.examples(PLAYED),
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(several_routes(), st.booleans(), st.integers(0, 5))
    def any_routes(drawn: list[Drawn], listed: bool, which: int) -> None:  # noqa: FBT001
        host = twins.host
        host.write(site(twins, [], listed=False))
        host.applied()
        bare = twins.shown("route")[0]
        host.write(site(twins, drawn, listed=listed))
        turn = in_turn(drawn, listed=listed)
        refusal = typed(twins, turn)
        try:
            done = host.apply()
            if refusal:
                assert done.code == 3, (refusal, done)
                assert done.err.count("/more.routes:" if listed else "/site.yaml:") == 1, done.err
                assert twins.shown("route")[0] == bare
                return
            assert (done.code, done.err) == (0, ""), done
            assert differing(twins.shown("route")) == []
            assert host.applied().out[-1] == "no changes"
            at = which % len(drawn)
            other = [*drawn[:at], changed(drawn[at]), *drawn[at + 1 :]]
            host.write(site(twins, other, listed=listed))
            assert host.apply("--dry-run").total == 1
            host.applied()
            assert host.applied().out[-1] == "no changes"
            assert typed(twins, [changed(drawn[at])], "replace") == ""
            assert differing(twins.shown("route")) == []
        finally:
            for family in ("-4", "-6"):
                # Of `table main` it spares what is local.
                twins.twin.run(["ip", family, "route", "flush", "table", "all", "proto", "233"])

    any_routes()
