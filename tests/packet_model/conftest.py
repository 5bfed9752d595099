from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.packet_model.stage import Stage, staged


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A lab in which every program is in place; nothing is sent in it by itself."""
    with staged() as made:
        yield made
