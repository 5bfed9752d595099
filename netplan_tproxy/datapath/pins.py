"""Pins below ``BPFFS/netplan-tproxy/NETNS/``: what keeps our BPF objects between runs.

The kernel makes a bpffs with mode 1777, so anybody may put directories and links into it.
Every level below it is opened by descriptor and must be ours alone (``system.owned``).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.bpf import bpffs
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf.libbpf import Fd
from netplan_tproxy.kernel.host.netns import netns_cookie
from netplan_tproxy.system.owned import Owned, UnsafeError, shared

DEFAULT_MOUNT = "/sys/fs/bpf"
_OURS = "netplan-tproxy"
_FOLDERS = ("maps", "programs", "sets", "adopted", "draining", "links")
# What the kernel itself puts into each new bpffs (kernel/bpf/inode.c).
_PRELOADED = ("maps.debug", "progs.debug")


class Pins:
    """The folders of this network namespace: maps, programs, sets, adopted, draining, links."""

    def mounted(self) -> str | None:
        """Find the bpffs; ``ip netns exec`` hides it behind a new /sys. Raises KernelError."""
        return bpffs.find_root(DEFAULT_MOUNT)

    def mount(self) -> None:
        """Mount a bpffs where every later run will see it. Raises KernelError."""
        bpffs.mount(DEFAULT_MOUNT)

    def unmount(self) -> None:
        """Unmount it again; none is fine. Raises KernelError."""
        if self.mounted():
            bpffs.umount(DEFAULT_MOUNT)

    def foreign(self) -> int:
        """Count what others keep in the bpffs, this tool in other network namespaces too.

        Raises KernelError, also for a folder that is not ours alone, so that no run begins
        with one.
        """
        for folder in _FOLDERS:
            self.listing(folder)
        with _telling("read pins"), shared(self._root()) as root:
            others = [name for name in root.names() if name not in {_OURS, *_PRELOADED}]
            ours = root.child(_OURS)
            if ours is not None:
                with ours:
                    others += [name for name in ours.names() if name != str(netns_cookie())]
            return len(others)

    def directory(self, folder: str) -> Path:
        """Give the path of a folder, which need not exist. Raises KernelError."""
        return self._root() / _OURS / str(netns_cookie()) / folder

    def listing(self, folder: str) -> list[str]:
        """Give the names of a folder's pins. Raises KernelError."""
        with self._opened(folder, f"read pins of {folder}") as opened:
            return opened.files() if opened is not None else []

    def each(self, folder: str) -> Iterator[tuple[str, Fd]]:
        """Open every pin of a folder; who takes one closes it. Raises KernelError."""
        with self._opened(folder, f"read pins of {folder}") as opened:
            for pin in opened.files() if opened is not None else ():
                fd = _found(opened, pin)
                if fd is not None:
                    yield pin, fd

    def open(self, folder: str, pin: str) -> Fd:
        """Open a pinned object. Raises KernelError (ENOENT: there is none)."""
        with self._opened(folder, f"open {pin}") as opened:
            if opened is None:
                message = f"open {pin}: {os.strerror(2)}"
                raise KernelError(message, 2)
            return bpf_maps.open_pinned(opened.place(pin), f"open {opened.path / pin}")

    def find(self, folder: str, pin: str) -> Fd | None:
        """Open a pinned object; None where there is none. Raises KernelError."""
        with self._opened(folder, f"open {pin}") as opened:
            return _found(opened, pin)

    def put(self, folder: str, pin: str, fd: Fd) -> None:
        """Pin an object, in place of what is pinned there. Raises KernelError."""
        with self._opened(folder, f"pin {pin}", make=True) as opened:
            assert opened is not None  # noqa: S101 - it is made
            # Pinning can't overwrite; a rename does, and nobody sees neither.
            aside = _aside(pin)
            opened.unlink(aside)
            bpf_maps.pin(fd, opened.place(aside), f"pin {opened.path / pin}")
            try:
                opened.rename(aside, pin)
            except OSError:
                with contextlib.suppress(OSError):
                    opened.unlink(aside)
                raise

    def remove(self, folder: str, pin: str) -> None:
        """Remove a pin, and the folders that are empty then; none is fine. Raises KernelError."""
        names = (_OURS, str(netns_cookie()), folder)
        with _telling(f"unpin {pin}"), self._levels(names) as levels:
            if len(levels) > len(names):
                # The other name too: of a rename that failed it may be all there is.
                for one in (pin, _aside(pin)):
                    levels[-1].unlink(one)
            _remove_empty(levels, names)

    def tidy(self) -> None:
        """Remove the folders that are empty: who is killed may leave them. Raises KernelError."""
        if self.mounted() is None:
            return
        names = (_OURS, str(netns_cookie()))
        with _telling("remove empty folders of pins"), self._levels(names) as levels:
            here = levels[len(names) :]
            gone = [level.rmdir(folder) for level in here for folder in _FOLDERS]
            if all(gone):
                _remove_empty(levels, names)

    @contextlib.contextmanager
    def _levels(self, names: Sequence[str]) -> Iterator[list[Owned]]:
        """Open the bpffs and the folders ``names``, one in the other, as far as they are there."""
        with contextlib.ExitStack() as held:
            levels = [held.enter_context(shared(self._root()))]
            for name in names:
                level = levels[-1].child(name)
                if level is None:
                    break
                levels.append(held.enter_context(level))
            yield levels

    def _root(self) -> Path:
        return Path(self.mounted() or DEFAULT_MOUNT)

    @contextlib.contextmanager
    def _opened(self, folder: str, what: str, *, make: bool = False) -> Iterator[Owned | None]:
        """Open a folder; None where there is none. What fails is told as ``what``."""
        with _telling(what), contextlib.ExitStack() as held:
            mounted = self._root() if make else self.mounted()
            level = held.enter_context(shared(Path(mounted))) if mounted else None
            for name in (_OURS, str(netns_cookie()), folder):
                level = level.child(name, make=make) if level is not None else None
                if level is not None:
                    held.enter_context(level)
            yield level


def _remove_empty(levels: Sequence[Owned], names: Sequence[str]) -> None:
    """Remove each folder ``names[n]`` in ``levels[n]``, the lowest first, that is empty."""
    for level, name in reversed(list(zip(levels, names, strict=False))):
        if not level.rmdir(name):
            break


def _aside(pin: str) -> str:
    """Give the name under which a pin is made."""
    return f"{pin}~"


def _found(opened: Owned | None, pin: str) -> Fd | None:
    if opened is None:
        return None
    return bpf_maps.find_pinned(opened.place(pin), f"open {opened.path / pin}")


@contextlib.contextmanager
def _telling(what: str) -> Iterator[None]:
    """Raise KernelError for what the file system refuses, and for what is not ours alone."""
    try:
        yield
    except UnsafeError as hazard:
        message = f"{what}: {hazard}: find out who put it there, and remove it"
        raise KernelError(message) from hazard
    except OSError as refusal:
        message = f"{what}: {refusal.strerror}"
        raise KernelError(message, refusal.errno or 0) from refusal
