"""Labs with the fast path, for sockets of a cgroup of the test's own."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest

from tests.datapath import support
from tests.fastpath.support import fast
from tests.lab import Lab, cgroups
from tests.lab.needed import need_fastpath

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def cgroup() -> Iterator[Path]:
    """A cgroup that this process is in meanwhile."""
    need_fastpath()
    with cgroups.cgroup() as path, cgroups.inside(path):
        yield cgroups.directory(path)


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
def other_cgroup() -> Iterator[Path]:
    """Another one, that nobody is in."""
    with cgroups.cgroup() as path:
        yield cgroups.directory(path)


@pytest.fixture
def ends(host: support.Applied, proxy: socket.socket) -> Iterator[support.Pair]:
    pair = host.pair(proxy)
    for end in pair:  # really blocking: settimeout() would poll first
        end.setblocking(True)  # noqa: FBT003
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 5, 0))
    with pair.near, pair.far:
        yield pair
