"""Which processes hold a socket (proc(5))."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

_HOLDERS_SHARE = 16


def owners(
    inodes: Iterable[int], most_of_one: int | None = None
) -> dict[int, list[tuple[int, str]]]:
    """Give the processes, as (pid, name), that hold sockets, by inode.

    Those that may not be looked into, or are in another pid namespace, are left out. For each
    descriptor that is looked at the kernel makes an inode, which takes 5 µs or more:
    ``most_of_one`` says how many of a process are, its first ones, and of a process that holds
    a wanted socket among these ``_HOLDERS_SHARE`` times as many.
    """
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    by_inode: dict[int, list[tuple[int, str]]] = {}
    if not wanted:
        return by_inode
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        held = _held(f"{process}/fd", wanted, most_of_one)
        if held:
            with contextlib.suppress(OSError):
                name = (process / "comm").read_text(errors="replace").strip()
                for inode in held:
                    by_inode.setdefault(inode, []).append((int(process.name), name))
    return by_inode


def _held(folder: str, wanted: dict[str, int], most: int | None) -> set[int]:
    """Give the wanted inodes that a process has open; descriptors come and go meanwhile."""
    held: set[int] = set()
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for number, entry in enumerate(entries):
            if most is not None and number >= most * (_HOLDERS_SHARE if held else 1):
                break
            with contextlib.suppress(OSError):
                # pathlib takes five times as long.
                inode = wanted.get(os.readlink(entry.path))  # noqa: PTH115
                if inode is not None:
                    held.add(inode)
    return held
