"""A lab with two uplinks, a LAN and both families."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab import Lab
from tests.lab.host import Host, descriptors
from tests.transactions.every_kind.support import OLD, bpf_objects, nothing_leaked

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
    made.applied()  # what is cached on the first use counts as no leak
    made.destroyed()
    objects, open_files = bpf_objects(), descriptors()
    before = made.look()
    yield made
    made.run("--destroy")
    assert not made.state.exists()  # others may have left theirs
    assert not made.pins.exists()
    assert made.look() == before
    assert nothing_leaked(objects) == {"prog": set(), "map": set(), "link": set()}
    assert descriptors() == open_files
