"""Our sockops program on cgroups."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from netplan_tproxy.datapath.fastpath import PAIRS, SOCKOPS, TYPES
from netplan_tproxy.datapath.pinned_programs import PinnedProgram
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.bpf import attach
from netplan_tproxy.kernel.bpf import programs as bpf_programs
from netplan_tproxy.kernel.bpf.libbpf import Fd
from netplan_tproxy.kernel.host.capabilities import may_administer
from netplan_tproxy.kernel.host.users_cgroups import cgroup_root

_KIND = TYPES[SOCKOPS].attach
_GONE = frozenset({errno.ENOENT, errno.ENODEV})


def attached(
    cgroups: Iterable[str], programs: Mapping[str, PinnedProgram], maps: Mapping[str, int]
) -> dict[str, tuple[str, int]]:
    """Give the pin ("" where it has none) and id of our program, by cgroup.

    ``programs`` and ``maps`` are what is pinned. Looks at ``cgroups``, and at every other
    one as long as a program of ours is pinned.
    """
    ours = {program.id: pin for pin, program in programs.items() if pin.startswith(SOCKOPS)}
    pairs = maps.get(PAIRS.pin)
    by_cgroup = {}
    for cgroup in sorted({*cgroups, *(_all_cgroups() if ours else ())}):
        for number in _programs_on(cgroup):
            if number in ours or _was_ours(number, pairs):
                by_cgroup[cgroup] = (ours.get(number, ""), number)
    return by_cgroup


def put(cgroup: str, program: int, replaced: int | None) -> None:
    """Attach a program beside those of others, or in place of one of ours.

    ``program`` and ``replaced`` are descriptors. Raises KernelError.
    """
    try:
        with _opened(cgroup) as target:
            attach.attach(program, target, _KIND, attach.ALLOW_MULTI, replaced)
    except OSError as refusal:
        message = f"cgroup {cgroup}: {refusal.strerror}"
        raise KernelError(message, refusal.errno or 0) from refusal


def remove(cgroup: str, program: int) -> None:
    """Detach a program; a cgroup or program that is gone is fine. Raises KernelError."""
    target = _found(cgroup)
    if target is not None:
        with target:
            attach.detach(program, target, _KIND)


def _programs_on(cgroup: str) -> list[int]:
    target = _found(cgroup)
    if target is None:
        return []
    with target:
        return attach.query(target, _KIND)


def _was_ours(number: int, pairs: int | None) -> bool:
    """Whether it shares our map of pairs: its pin is gone.

    False too where that can't be known, as it takes CAP_SYS_ADMIN.
    """
    try:
        with bpf_programs.prog_fd_by_id(number) as fd:
            info = bpf_programs.prog_info(fd)
    except KernelError as refusal:
        gone = refusal.errno == errno.ENOENT
        if gone or (refusal.errno == errno.EPERM and not may_administer()):
            return False
        raise
    return info.name == SOCKOPS and pairs in info.map_ids


def _found(cgroup: str) -> Fd | None:
    """Open a cgroup; None where there is none. Raises KernelError."""
    try:
        return _opened(cgroup)
    except FileNotFoundError:
        return None
    except OSError as refusal:
        message = f"cgroup {cgroup}: {refusal.strerror}"
        raise KernelError(message, refusal.errno or 0) from refusal


def _opened(cgroup: str) -> Fd:
    root = cgroup_root()
    if root is None:
        raise FileNotFoundError(errno.ENOENT, "no cgroup2 is mounted")
    return Fd(os.open(root / cgroup.lstrip("/"), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


def _all_cgroups() -> set[str]:
    def refuse(refusal: OSError) -> None:
        # One that goes meanwhile has no program any more.
        if refusal.errno not in _GONE:
            message = f"read cgroups: {refusal.strerror}"
            raise KernelError(message, refusal.errno or 0) from refusal

    root = cgroup_root()
    if root is None:
        return set()
    return {
        "/" + str(Path(at).relative_to(root)).removeprefix(".")
        for at, _, _ in os.walk(root, onerror=refuse)
    }
