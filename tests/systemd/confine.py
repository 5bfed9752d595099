"""Run a command confined as a unit file says, as far as that goes without its service manager.

Capabilities, system calls, address families, namespaces, memory protection, what is
read-only. ``python -m tests.systemd.confine UNIT -- WORDS``, as root.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from pathlib import Path

from tests.lab import syscalls
from tests.paths import ROOT
from tests.systemd.seccomp import allowed_calls, install

_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_PR_SET_MDWE = 65  # Linux 6.3: what MemoryDenyWriteExecute= does, by the kernel itself
_BEFORE_MDWE = re.compile(r"[45]\.|6\.[012]\.")
_RDONLY, _REMOUNT, _BIND, _REC, _SLAVE = 1, 32, 4096, 16384, 1 << 19
_API = ("/proc", "/sys", "/dev")

Settings = dict[str, list[str]]


def settings(unit: Path) -> Settings:
    """The words of each setting of a unit file; one that is given again adds to them."""
    found: Settings = {}
    for line in unit.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).extend(value.split())
    return found


def mounts() -> list[str]:
    """Where something is mounted, without what is hidden by a mount above it."""
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [words[4] for words in lines if mount_at(words[4]) == words[0]]


def mount_at(path: str) -> str:
    """The id of the mount that a path leads to; "" where it leads nowhere."""
    try:
        fd = os.open(path.encode().decode("unicode_escape"), os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        text = Path(f"/proc/self/fdinfo/{fd}").read_text()
    finally:
        os.close(fd)
    return next(line.split()[1] for line in text.splitlines() if line.startswith("mnt_id:"))


def below(path: str, *roots: str) -> bool:
    return any(path == root or path.startswith(root + "/") for root in roots)


def confine_files(unit: Settings) -> None:
    """ProtectSystem=, PrivateTmp=, ReadOnlyPaths=, ReadWritePaths=, RuntimeDirectory=."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", flags=_REC | _SLAVE)
    runtime = [f"/run/{name}" for name in unit["RuntimeDirectory"]]
    writable = runtime + [path.lstrip("-") for path in unit["ReadWritePaths"]]
    for path in runtime:
        Path(path).mkdir(mode=int(unit["RuntimeDirectoryMode"][0], 8), exist_ok=True)
    if "yes" in unit["PrivateTmp"]:
        # The checkout itself may be below one of them: it must stay in sight.
        checkout = os.open(ROOT, os.O_PATH | os.O_CLOEXEC)
        for path in ("/tmp", "/var/tmp"):  # noqa: S108 - that is what they are
            syscalls.mount("tmpfs", path, "tmpfs")
        if not ROOT.exists():
            ROOT.mkdir(parents=True)
            syscalls.mount(f"/proc/self/fd/{checkout}", str(ROOT), flags=_BIND)
            os.chdir(ROOT)
        writable += ["/tmp", "/var/tmp"]  # noqa: S108
    fixed = [path.lstrip("-") for path in unit["ReadOnlyPaths"]]
    fixed = [path for path in fixed if Path(path).exists()]
    if "yes" in unit.get("ProtectKernelTunables", ()):
        fixed += ["/proc/sys", "/sys"]
        # It wins over ReadWritePaths= there (systemd's namespace.c).
        writable.remove("/sys/fs/bpf")
    for path in [*fixed, *writable]:
        if path not in mounts():
            syscalls.mount(path, path, flags=_BIND | _REC)
    strict = "strict" in unit["ProtectSystem"]
    for path in mounts():
        system = strict and not below(path, *_API)
        if (system or below(path, *fixed)) and not below(path, *writable):
            syscalls.mount("none", path, flags=_REMOUNT | _BIND | _RDONLY)


def bound(unit: Settings) -> None:
    """CapabilityBoundingSet=, which the next program gets as root, and NoNewPrivileges=."""
    header = Path("/usr/include/linux/capability.h").read_text()
    kept = set(unit["CapabilityBoundingSet"])
    for name, number in re.findall(r"#define (CAP_[A-Z_]+)\s+(\d+)", header):
        if name not in kept:
            prctl(_PR_CAPBSET_DROP, int(number))
    if "yes" in unit["NoNewPrivileges"]:
        prctl(_PR_SET_NO_NEW_PRIVS, 1)


def prctl(what: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(what, value, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {what}: {os.strerror(number)}")


def confine(unit: Settings, words: list[str]) -> None:
    """Never returns."""
    confine_files(unit)
    if "yes" in unit["MemoryDenyWriteExecute"] and not _BEFORE_MDWE.match(os.uname().release):
        prctl(_PR_SET_MDWE, 1)
    calls = allowed_calls(unit["SystemCallFilter"])
    bound(unit)
    install(calls, unit["RestrictAddressFamilies"])
    os.umask(int(unit["UMask"][0], 8))
    os.execvp(words[0], words)  # noqa: S606


if __name__ == "__main__":
    confine(settings(Path(sys.argv[1])), sys.argv[3:])
