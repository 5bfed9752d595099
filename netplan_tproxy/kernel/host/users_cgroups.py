"""The numbers of users and cgroups, by their names."""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from netplan_tproxy.errors import KernelError


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

    A cgroup that was removed and made again has another id. Raises KernelError.
    """
    ids: dict[str, int] = {}
    root = cgroup_root()
    for path in paths:
        number = _id_of(root / path.lstrip("/")) if root is not None else None
        if number is not None:
            ids[path] = number
    return ids


def _id_of(cgroup: Path) -> int | None:
    try:
        return cgroup.stat().st_ino
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as refusal:
        message = f"cgroup {cgroup}: {refusal.strerror}"
        raise KernelError(message, refusal.errno or 0) from refusal


@cache
def cgroup_root() -> Path | None:
    """Find cgroup2; ``ip netns exec`` hides it behind a new /sys, init's view still has it.

    Raises KernelError.
    """
    for mounts, prefix in (("/proc/self/mounts", ""), ("/proc/1/mounts", "/proc/1/root")):
        try:
            lines = Path(mounts).read_text(encoding="utf-8", errors="replace").splitlines()
            for line in lines:
                _, place, kind, *_ = line.split(" ")
                path = Path(prefix + place)
                if kind == "cgroup2" and _id_of(path / "cgroup.procs") is not None:
                    return path
        except (OSError, KernelError) as refusal:
            # Init's view is not for everybody to see (proc(5)).
            if prefix and refusal.errno in {errno.EACCES, errno.EPERM, errno.ENOENT}:
                continue
            message = f"find cgroup2: {os.strerror(refusal.errno or 0)}"
            raise KernelError(message, refusal.errno or 0) from refusal
    return None


def cgroup_ids(path: str) -> tuple[int, ...] | None:
    """Give the ids of a cgroup and of those it is in, the outermost first; None: no such."""
    root = cgroup_root()
    if root is None:
        return None
    ids = []
    for part in [part for part in path.split("/") if part]:
        root /= part
        number = _id_of(root)
        if number is None:
            return None
        ids.append(number)
    return tuple(ids)
