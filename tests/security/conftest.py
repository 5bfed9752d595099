from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab.host import Host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab import Lab


@pytest.fixture
def host(lab: Lab, tmp_path: Path) -> Iterator[Host]:
    made = Host(lab, tmp_path)
    yield made
    made.run("--destroy")
