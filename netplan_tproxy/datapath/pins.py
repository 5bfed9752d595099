"""Pins below ``BPFFS/netplan-tproxy/NETNS/``: what keeps our BPF objects between runs."""

from __future__ import annotations

import errno
from pathlib import Path

from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.bpf import bpffs
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf.libbpf import Fd
from netplan_tproxy.kernel.host.netns import netns_cookie

DEFAULT_MOUNT = "/sys/fs/bpf"
_OURS = "netplan-tproxy"
# What the kernel itself puts into each new bpffs (kernel/bpf/inode.c).
_PRELOADED = ("maps.debug", "progs.debug")
# Why a folder is not removed: it is in use, or it is gone already.
_STAYS = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY, errno.ENOENT})


class Pins:
    """The folders of this network namespace: maps, programs, sets, adopted, draining."""

    def mounted(self) -> str | None:
        """Find the bpffs; ``ip netns exec`` hides it behind a new /sys."""
        return bpffs.find_root(DEFAULT_MOUNT)

    def mount(self) -> None:
        """Mount a bpffs where every later run will see it. Raises KernelError."""
        bpffs.mount(DEFAULT_MOUNT)

    def unmount(self) -> None:
        """Unmount it again; none is fine. Raises KernelError."""
        if self.mounted():
            bpffs.umount(DEFAULT_MOUNT)

    def foreign(self) -> int:
        """Count what others keep in the bpffs, this tool in other network namespaces too."""
        root = Path(self.mounted() or DEFAULT_MOUNT)
        others = [path for path in _listing(root) if path.name not in {_OURS, *_PRELOADED}]
        others += [path for path in _listing(root / _OURS) if path.name != str(netns_cookie())]
        return len(others)

    def directory(self, folder: str) -> Path:
        """Give the path of a folder, which need not exist."""
        return Path(self.mounted() or DEFAULT_MOUNT) / _OURS / str(netns_cookie()) / folder

    def listing(self, folder: str) -> list[Path]:
        """Give the paths of a folder's pins. Raises KernelError."""
        return _listing(self.directory(folder))

    def open(self, folder: str, pin: str) -> Fd:
        """Open a pinned object. Raises KernelError."""
        return bpf_maps.open_pinned(str(self.directory(folder) / pin))

    def find(self, folder: str, pin: str) -> Fd | None:
        """Open a pinned object; None where there is none. Raises KernelError."""
        return bpf_maps.find_pinned(str(self.directory(folder) / pin))

    def put(self, folder: str, pin: str, fd: Fd) -> None:
        """Pin an object, in place of what is pinned there. Raises KernelError."""
        directory = self.directory(folder)
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Pinning can't overwrite; a rename does, and nobody sees neither.
            aside = directory / f"{pin}~"
            aside.unlink(missing_ok=True)
            bpf_maps.pin(fd, str(aside))
            aside.rename(directory / pin)
        except OSError as refusal:
            message = f"pin {pin}: {refusal.strerror}"
            raise KernelError(message, refusal.errno or 0) from refusal

    def remove(self, folder: str, pin: str) -> None:
        """Remove a pin, and the folders that are empty then; none is fine. Raises KernelError."""
        path = self.directory(folder) / pin
        try:
            path.unlink(missing_ok=True)
        except OSError as refusal:
            message = f"unpin {pin}: {refusal.strerror}"
            raise KernelError(message, refusal.errno or 0) from refusal
        for parent in list(path.parents)[:3]:
            try:
                parent.rmdir()
            except OSError as refusal:
                if refusal.errno not in _STAYS:
                    message = f"remove {parent}: {refusal.strerror}"
                    raise KernelError(message, refusal.errno or 0) from refusal


def _listing(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as refusal:
        message = f"read {directory}: {refusal.strerror}"
        raise KernelError(message, refusal.errno or 0) from refusal
