"""Where the fast path is attached: sockops on cgroups, sk_msg on a map of sockets."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from netplan_tproxy.datapath.fastpath import MSG, PAIRS, SOCKOPS, TYPES
from netplan_tproxy.datapath.objects import BpfObjects
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.bpf import attach
from netplan_tproxy.kernel.bpf import programs as bpf_programs
from netplan_tproxy.kernel.bpf.libbpf import Fd
from netplan_tproxy.kernel.host.users_cgroups import cgroup_root


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
            return attach.query(target, TYPES[SOCKOPS].attach)
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
                attach.attach(program, target, TYPES[SOCKOPS].attach, attach.ALLOW_MULTI, replaced)
        except OSError as refusal:
            message = f"cgroup {cgroup}: {refusal.strerror}"
            raise KernelError(message, refusal.errno or 0) from refusal

    def remove_sockops(self, cgroup: str, program: int) -> None:
        """Detach it; a cgroup or program that is gone is fine."""
        with contextlib.suppress(FileNotFoundError), _open_cgroup(cgroup) as target:
            attach.detach(program, target, TYPES[SOCKOPS].attach)

    # the verdict on a map of sockets

    def verdict(self, map_pin: str) -> int:
        """Give the id of the sk_msg program of a pinned map; 0: none, or no such map."""
        if map_pin not in self._bpf.maps():
            return 0
        with self._bpf.open_map(map_pin) as socks:
            return next(iter(attach.query(socks, TYPES[MSG].attach)), 0)

    def put_verdict(self, map_pin: str, program: int) -> None:
        """Give the map's sockets a program, in place of the one they have."""
        attach.attach(program, self._bpf.map_fd(map_pin), TYPES[MSG].attach, 0, None)

    def remove_verdict(self, map_pin: str, program: int) -> None:
        """Take it away; none is fine."""
        with contextlib.suppress(KernelError), self._bpf.open_map(map_pin) as socks:
            attach.detach(program, socks, TYPES[MSG].attach)


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
