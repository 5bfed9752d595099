"""A lab with two uplinks, a LAN and both families."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab import Lab
from tests.lab.host import Host
from tests.lab.leaks import nothing_left
from tests.transactions.every_kind.support import OLD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def wide() -> Iterator[Lab]:
    with Lab(wans=2, lan=True, ipv6=True) as lab:
        yield lab


@pytest.fixture
def host(wide: Lab, tmp_path: Path) -> Iterator[Host]:
    """Nothing is left of it, in the kernel or in this process."""
    made = Host(wide, tmp_path)
    made.write(OLD)
    with nothing_left(made):
        yield made
