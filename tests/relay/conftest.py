from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.relay import bench

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab import Lab


@pytest.fixture
def setup() -> Iterator[tuple[Lab, bench.Running]]:
    """A LAN lab whose host relays."""
    with bench.relayed() as made:
        yield made
