"""The numbers of users and cgroups, by their names."""

from __future__ import annotations

import contextlib
import pwd
from collections.abc import Iterable
from functools import cache
from pathlib import Path


def resolve_users(names: Iterable[str]) -> dict[str, int]:
    """Give uids by name; a number is its own, and unknown names are left out."""
    uids = {}
    for name in names:
        if name.isdecimal():
            uids[name] = int(name)
            continue
        with contextlib.suppress(KeyError):
            uids[name] = pwd.getpwnam(name).pw_uid
    return uids


def resolve_cgroups(paths: Iterable[str]) -> dict[str, int]:
    """Give ids (a directory's inode) by path; unknown cgroups are left out.

    A cgroup that was removed and made again has another id.
    """
    ids: dict[str, int] = {}
    for path in paths:
        root = cgroup_root()
        if root is None:
            break
        with contextlib.suppress(OSError):
            ids[path] = (root / path.lstrip("/")).stat().st_ino
    return ids


@cache
def cgroup_root() -> Path | None:
    """Find cgroup2; ``ip netns exec`` hides it behind a new /sys, init's view still has it."""
    for mounts, prefix in (("/proc/self/mounts", ""), ("/proc/1/mounts", "/proc/1/root")):
        with contextlib.suppress(OSError):
            for line in Path(mounts).read_text(encoding="utf-8", errors="replace").splitlines():
                _, place, kind, *_ = line.split(" ")
                path = Path(prefix + place)
                if kind == "cgroup2" and (path / "cgroup.procs").exists():
                    return path
    return None


def cgroup_ids(path: str) -> tuple[int, ...] | None:
    """Give the ids of a cgroup and of those it is in, the outermost first; None: no such."""
    root = cgroup_root()
    if root is None:
        return None
    ids = []
    for part in [part for part in path.split("/") if part]:
        root /= part
        try:
            ids.append(root.stat().st_ino)
        except OSError:
            return None
    return tuple(ids)
