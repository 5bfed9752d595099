"""The kernel's memory that is held on behalf of this process and those it starts."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab import cgroups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ROOT = Path("/sys/fs/cgroup/memory")


@contextlib.contextmanager
def charged() -> Iterator[Callable[[], int] | None]:
    """What the kernel has allocated since, in bytes, for this process and its children.

    None where the memory controller does not say: it must be mounted as cgroup1, or be
    switched on for the session's cgroup, in which nobody else is.
    """
    unified = [root / "memory.stat" for root in cgroups.roots()]
    if unified and unified[0].exists():
        yield lambda: _slab(unified[0])
    elif os.access(_ROOT / "cgroup.procs", os.W_OK):
        with _own() as folder:
            yield lambda: int((folder / "memory.kmem.usage_in_bytes").read_text())
    else:
        yield None


def _slab(stat: Path) -> int:
    words = (line.split() for line in stat.read_text().splitlines())
    return next(int(number) for name, number in words if name == "slab_unreclaimable")


@contextlib.contextmanager
def _own() -> Iterator[Path]:
    """A cgroup of the memory controller (cgroup1) with this process in it."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    path = next(line.split(":", 2)[2] for line in lines if line.split(":")[1] == "memory")
    own = _ROOT / f"ntp-lab-{os.getpid()}-{secrets.token_hex(3)}"
    own.mkdir()
    try:
        (own / "cgroup.procs").write_text("0")
        yield own
    finally:
        (_ROOT / path.lstrip("/") / "cgroup.procs").write_text("0")
        cgroups.remove(own)
