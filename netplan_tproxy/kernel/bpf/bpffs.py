"""The bpf file system: where it is, and mounting it."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path

from netplan_tproxy.errors import KernelError

_MAGIC = 0xCAFE4A11
_CLONE_NEWNS = 0x00020000
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})


def is_bpffs(path: str) -> bool:
    """Whether ``path`` lies on a bpffs (statfs(2)). Raises KernelError."""
    # struct statfs starts with a word f_type on every 64-bit machine.
    buffer = (ctypes.c_long * 32)()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.statfs(os.fsencode(path), buffer) == 0:
        return buffer[0] == _MAGIC
    if ctypes.get_errno() in _ABSENT:
        return False
    raise _refused("look for a", path)


def find_root(default: str = "/sys/fs/bpf") -> str | None:
    """Find the mounted bpffs, also from within an ``ip netns exec``.

    That mounts a new /sys, which hides the one below it; init's view still has it.
    Raises KernelError.
    """
    if is_bpffs(default):
        return default
    path = f"/proc/1/root{default}"
    try:
        return path if is_bpffs(path) else None
    except KernelError as refusal:
        # It is not for everybody to see (proc(5)).
        if refusal.errno in {errno.EACCES, errno.EPERM}:
            return None
        raise


def mount(path: str) -> None:
    """Mount a bpffs at ``path`` where init sees it. Raises KernelError.

    In this process's own mount namespace it might be gone with the process.
    """
    _where_init_sees_it(_mount, "mount", path)


def umount(path: str) -> None:
    """Unmount the bpffs that ``mount`` mounted at ``path``. Raises KernelError."""
    _where_init_sees_it(_umount, "unmount", path)


def _umount(path: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(os.fsencode(path), 0) != 0:
        raise _refused("unmount", path)


def _mount(path: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"bpf", os.fsencode(path), b"bpf", 0, b"mode=0700") != 0:
        raise _refused("mount", path)


def _refused(action: str, path: str) -> KernelError:
    code = ctypes.get_errno()
    return KernelError(f"{action} bpffs {path}: {os.strerror(code)}", code)


def _same_mounts_as_init() -> bool:
    try:
        return Path("/proc/self/ns/mnt").stat().st_ino == Path("/proc/1/ns/mnt").stat().st_ino
    except OSError:
        return True


def _enter_init_mounts() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open("/proc/1/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    if libc.setns(fd, _CLONE_NEWNS) != 0:
        raise _refused("enter init's mount namespace for", "")


def _where_init_sees_it(action: Callable[[str], None], name: str, path: str) -> None:
    if _same_mounts_as_init():
        action(path)
        return
    child = os.fork()
    if child == 0:
        try:
            _enter_init_mounts()
            action(path)
        except KernelError as refusal:
            os._exit(min(refusal.errno, 254) or 1)
        except BaseException:  # noqa: BLE001 - a forked child must never run its parent's handlers
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code:
        message = f"{name} bpffs {path}: {os.strerror(code)}"
        raise KernelError(message, code)
