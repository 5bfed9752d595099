"""Labs with the fast path, for sockets of a cgroup of the test's own."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.kernel.host.users_cgroups import cgroup_root
from tests.datapath import support
from tests.fastpath.support import fast
from tests.lab import Lab

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def cgroup() -> Iterator[Path]:
    """A cgroup that this process is in meanwhile: nothing of the machine's own is touched."""
    root = cgroup_root()
    assert root is not None
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    line = next(line for line in lines if line.startswith("0::"))
    before = root / line.removeprefix("0::/")
    made = root / f"ntp-test-{os.getpid()}-{secrets.token_hex(3)}"
    made.mkdir()
    (made / "cgroup.procs").write_text("0")
    yield made
    (before / "cgroup.procs").write_text("0")
    made.rmdir()


@pytest.fixture(scope="session")
def on(cgroup: Path) -> str:
    """The lines of a site file that enable it."""
    return fast(cgroup)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, on: str) -> Iterator[support.Applied]:
    """A lab on which a site file with the fast path is applied; shared by a module's tests."""
    with Lab() as lab:
        made = support.Applied(lab, tmp_path_factory.mktemp("site"), extra=on)
        made.apply()
        yield made
        made.destroy()


@pytest.fixture
def proxy(host: support.Applied) -> Iterator[socket.socket]:
    """A listener that is the proxy of ``host``."""
    with support.listener(host) as made:
        yield made


@pytest.fixture
def other_cgroup(cgroup: Path) -> Iterator[Path]:
    """Another one, that nobody is in."""
    made = cgroup.with_name(cgroup.name + "-other")
    made.mkdir()
    yield made
    made.rmdir()
