"""Programs on cgroups and on socket maps (bpf(2): BPF_PROG_ATTACH, _DETACH, _QUERY)."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from pathlib import Path

from netplan_tproxy.errors import KernelError
from netplan_tproxy.fastpath import MSG, PAIRS, SOCKOPS, TYPES
from netplan_tproxy.kernel import bpf_programs
from netplan_tproxy.kernel.bpf_objects import BpfObjects
from netplan_tproxy.kernel.identities import cgroup_root
from netplan_tproxy.kernel.libbpf import Fd, call

_ALLOW_MULTI, _REPLACE = 2, 4
_MOST = 64
_GONE = frozenset({errno.ENOENT, errno.EINVAL, errno.EBADF})


class _AttachOptions(ctypes.Structure):
    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("flags", ctypes.c_uint32),
        ("replace_prog_fd", ctypes.c_int),
    )


class Attachments:
    """What of ours is attached, by the ids of our pinned programs."""

    def __init__(self, bpf: BpfObjects) -> None:
        self._bpf = bpf

    # sockops on cgroups

    def sockops(self, cgroups: set[str]) -> dict[str, tuple[str, int]]:
        """Find our program on cgroups: its pin ("" where it has none) and id, by cgroup.

        Looks at ``cgroups``, and at every other as long as a program of ours is pinned.
        """
        ours = {p.id: pin for pin, p in self._bpf.programs().items() if pin.startswith(SOCKOPS)}
        found = {}
        for cgroup in sorted(cgroups | (_all_cgroups() if ours else set())):
            for number in self._on_cgroup(cgroup):
                if number in ours or self._was_ours(number):
                    found[cgroup] = (ours.get(number, ""), number)
        return found

    def _on_cgroup(self, cgroup: str) -> list[int]:
        with contextlib.suppress(OSError), _open_cgroup(cgroup) as target:
            return _query(target, TYPES[SOCKOPS].attach)
        return []

    def _was_ours(self, number: int) -> bool:
        """Whether it shares our map of pairs: its pin is gone. Takes CAP_SYS_ADMIN."""
        with contextlib.suppress(KernelError), bpf_programs.prog_fd_by_id(number) as fd:
            info = bpf_programs.prog_info(fd)
            return info.name == SOCKOPS and self._bpf.maps().get(PAIRS.pin) in info.map_ids
        return False

    def put_sockops(self, cgroup: str, program: int, replaced: int | None) -> None:
        """Attach a program beside those of others, or in place of one of ours."""
        try:
            with _open_cgroup(cgroup) as target:
                _attach(program, target, TYPES[SOCKOPS].attach, _ALLOW_MULTI, replaced)
        except OSError as refusal:
            message = f"cgroup {cgroup}: {refusal.strerror}"
            raise KernelError(message, refusal.errno or 0) from refusal

    def remove_sockops(self, cgroup: str, program: int) -> None:
        """Detach it; a cgroup or program that is gone is fine."""
        with contextlib.suppress(FileNotFoundError), _open_cgroup(cgroup) as target:
            _detach(program, target, TYPES[SOCKOPS].attach)

    # the verdict on a map of sockets

    def verdict(self, map_pin: str) -> int:
        """Give the id of the sk_msg program of a pinned map; 0: none, or no such map."""
        if map_pin not in self._bpf.maps():
            return 0
        with self._bpf.open_map(map_pin) as socks:
            return next(iter(_query(socks, TYPES[MSG].attach)), 0)

    def put_verdict(self, map_pin: str, program: int) -> None:
        """Give the map's sockets a program, in place of the one they have."""
        _attach(program, self._bpf.map_fd(map_pin), TYPES[MSG].attach, 0, None)

    def remove_verdict(self, map_pin: str, program: int) -> None:
        """Take it away; none is fine."""
        with contextlib.suppress(KernelError), self._bpf.open_map(map_pin) as socks:
            _detach(program, socks, TYPES[MSG].attach)


def _open_cgroup(path: str) -> Fd:
    root = cgroup_root()
    if root is None:
        raise FileNotFoundError(errno.ENOENT, "no cgroup2 is mounted")
    return Fd(os.open(root / path.lstrip("/"), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


def _all_cgroups() -> set[str]:
    root = cgroup_root()
    if root is None:
        return set()
    return {"/" + str(Path(at).relative_to(root)).removeprefix(".") for at, _, _ in os.walk(root)}


def _query(target: Fd, kind: int) -> list[int]:
    ids = (ctypes.c_uint32 * _MOST)()
    count, flags = ctypes.c_uint32(_MOST), ctypes.c_uint32(0)
    call(
        "bpf_prog_query", int(target), kind, 0, ctypes.byref(flags), ids, ctypes.byref(count),
        what="ask for attached programs",
    )  # fmt: skip
    return list(ids[: count.value])


def _attach(program: int, target: Fd, kind: int, flags: int, replaced: int | None) -> None:
    options = _AttachOptions(sz=ctypes.sizeof(_AttachOptions), flags=flags)
    if replaced is not None:
        options.flags, options.replace_prog_fd = flags | _REPLACE, replaced
    call(
        "bpf_prog_attach_opts", program, int(target), kind, ctypes.byref(options),
        what="attach program",
    )  # fmt: skip


def _detach(program: int, target: Fd, kind: int) -> None:
    try:
        call("bpf_prog_detach2", program, int(target), kind, what="detach program")
    except KernelError as refusal:
        if refusal.errno not in _GONE:
            raise
