"""Debian's own proxies with the fast path between them and their clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.datapath.support import Applied
from tests.fastpath.support import Counted
from tests.proxies.recipes import RECIPES, Recipe
from tests.proxies.stage import staged

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

PAGES = 5


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_pages_come_over_the_fast_path(recipe: Recipe, tmp_path: Path, on: str) -> None:
    with staged(recipe, tmp_path) as stage:
        site = tmp_path / "site.yaml"
        site.write_text(recipe.site.read_text() + on)
        stage.tproxy_apply(str(site))
        counted = Counted(Applied(stage.lab, tmp_path))
        for version in stage.recipe.versions("tcp"):
            for client in ("plain", "bound") * PAGES:
                assert stage.fetch(client, version).body.startswith("hello from the internet")
        pages = 2 * PAGES * len(stage.recipe.versions("tcp"))
        found = counted()
        assert found["enrolled_client"] == found["enrolled_proxy"] == pages
        assert found["messages"] >= 2 * pages
        stage.tproxy_apply("--destroy")
