"""Asking the sets of the policy as the programs do, through the map that they look in."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

from netplan_tproxy.datapath.layouts import SETS
from netplan_tproxy.datapath.objects import BpfObjects
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf.libbpf import Fd


class PolicySets:
    """The sets that the programs find now. Close it, or use ``with``."""

    def __init__(self, bpf: BpfObjects) -> None:
        self._outer = Path(bpf.directory("maps")) / SETS.pin
        self._pins = Path(bpf.directory("sets"))
        self._held: dict[int, Fd | None] = {}

    def matched(self, number: int, length: int, bits: bytes) -> int | None:
        """Give the bits of the widest prefix of set ``number`` that holds ``bits``; None: none."""
        if number not in self._held:
            self._held[number] = self._open(number)
        fd = self._held[number]
        if fd is None or not _holds(fd, length, bits):
            return None
        # A lookup of fewer bits finds the prefixes of at most so many (lpm_trie.c).
        least, most = 0, length
        while least < most:
            middle = (least + most) // 2
            if _holds(fd, middle, bits):
                most = middle
            else:
                least = middle + 1
        return most

    def _open(self, number: int) -> Fd | None:
        try:
            with bpf_maps.open_pinned(str(self._outer)) as outer:
                value = bpf_maps.lookup(outer, struct.pack("=Q", number), 4)
        except KernelError:
            return None
        if value is None:
            return None
        (found,) = struct.unpack("=I", value)
        with contextlib.suppress(KernelError):
            fd = bpf_maps.open_pinned(str(self._pins / f"{number:016x}"))
            if bpf_maps.map_info(fd).id == found:
                return fd
            fd.close()
        return bpf_maps.map_fd_by_id(found)

    def close(self) -> None:
        """Drop every descriptor."""
        for fd in self._held.values():
            if fd is not None:
                fd.close()
        self._held.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _holds(fd: Fd, length: int, bits: bytes) -> bool:
    return bpf_maps.lookup(fd, struct.pack("=I", length) + bits, 1) is not None
