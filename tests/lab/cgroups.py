"""Cgroups of the test's own below the root of cgroup2, and sockets made in them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from netplan_tproxy.kernel.host.users_cgroups import cgroup_root

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = f"/tproxy-test-{os.getpid()}"


def directory(path: str) -> Path:
    root = cgroup_root()
    assert root is not None, "no cgroup2 here"
    return root / path.lstrip("/")


@contextmanager
def cgroup(name: str) -> Iterator[str]:
    """A cgroup; as long as nobody is in it."""
    path = f"{PREFIX}{name}"
    directory(path).mkdir()
    try:
        yield path
    finally:
        directory(path).rmdir()


@contextmanager
def inside(path: str) -> Iterator[None]:
    """This process is in a cgroup, and later where it was; a socket stays in its maker's."""
    if not path:
        yield
        return
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    (before,) = (line[3:] for line in lines if line.startswith("0::"))
    _enter(path)
    try:
        yield
    finally:
        _enter(before)


def _enter(path: str) -> None:
    (directory(path) / "cgroup.procs").write_text(str(os.getpid()))
