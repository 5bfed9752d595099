"""Cgroups of the tests' own: one that the session lives in, and others below it."""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab import syscalls
from tests.lab.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "ntp-lab-"


def roots() -> list[Path]:
    """Where cgroup2 is mounted and can be seen."""
    lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    places = dict.fromkeys(Path(place) for _, place, kind, *_ in lines if kind == "cgroup2")
    return [place for place in places if (place / "cgroup.procs").exists()]


def directory(path: str) -> Path:
    """Where a cgroup is that is known by its path, ``/name``."""
    found = roots()
    assert found, "no cgroup2 here"
    return found[0] / path.lstrip("/")


def current() -> str:
    """The path of the cgroup that this process is in."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    return next(line.removeprefix("0::") for line in lines if line.startswith("0::"))


@contextlib.contextmanager
def cgroup(name: str = "") -> Iterator[str]:
    """The path of a new cgroup; it goes when the last who is in it has left or ended."""
    path = f"/{name}" if name else f"/test-{secrets.token_hex(3)}"
    directory(path).mkdir()
    try:
        yield path
    finally:
        remove(directory(path))


@contextlib.contextmanager
def inside(path: str) -> Iterator[None]:
    """This process is in a cgroup, and later where it was; a socket stays in its maker's."""
    if not path:
        yield
        return
    before = current()
    _enter(directory(path))
    try:
        yield
    finally:
        _enter(directory(before))


def remove(folder: Path, seconds: float = PATIENCE) -> None:
    """Remove a cgroup with all below it, once the last process has ended."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            for path in sorted(folder.rglob("*/"), reverse=True):
                path.rmdir()
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def enter_own() -> None:
    """Move this process for good into a new cgroup, which is the root that it sees.

    The cgroup goes when the process exits, with whoever is left in it. Does nothing where
    cgroup2 is not mounted or can't be written. The mounts must be this process's own already.
    """
    places = [place for place in roots() if os.access(place / "cgroup.procs", os.W_OK)]
    if not places:
        return
    _sweep(places[0])
    for _ in range(10):
        own = places[0] / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(3)}"
        # Opened out here: the cgroup namespace is that of who opens, not of who writes.
        above = os.open(places[0], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        back = os.open(directory(current()) / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        own.mkdir()
        try:
            _enter(own)
        except OSError:  # another session has swept it
            os.close(above)
            os.close(back)
            continue
        break
    else:
        raise RuntimeError(f"{places[0]}: no cgroup can be had")
    atexit.register(_leave, os.getpid(), own.name, above, back)
    syscalls.unshare(syscalls.CLONE_NEWCGROUP)
    for place in places:
        # A new mount of cgroup2 is refused where one is already.
        syscalls.mount(str(place / own.name), str(place), flags=syscalls.MS_BIND)


def _enter(folder: Path) -> None:
    (folder / "cgroup.procs").write_text("0")


def _leave(owner: int, name: str, above: int, back: int) -> None:
    if os.getpid() != owner:
        return
    os.write(back, b"0")
    here = Path(f"/proc/self/fd/{above}") / name
    with contextlib.suppress(OSError):  # Linux 5.14
        (here / "cgroup.kill").write_text("1")
    with contextlib.suppress(OSError):
        remove(here, seconds=5)


def _sweep(root: Path) -> None:
    """Remove what killed sessions left; a live one is in its own."""
    for path in root.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if "populated 0" in (path / "cgroup.events").read_text().splitlines():
                remove(path, seconds=0)
