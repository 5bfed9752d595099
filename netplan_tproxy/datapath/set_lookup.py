"""Asking the sets of the policy as the programs do, through the map that they look in."""

from __future__ import annotations

import struct

from netplan_tproxy.datapath.sets import PolicySets
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf.libbpf import Fd
from netplan_tproxy.system.closing import Closing


class SetLookup(Closing):
    """The sets that the programs find now. Close it, or use ``with``."""

    def __init__(self, sets: PolicySets) -> None:
        self._sets = sets
        self._opened: dict[int, Fd | None] = {}

    def matched(self, number: int, length: int, bits: bytes) -> int | None:
        """Give the bits of the widest prefix of set ``number`` that holds ``bits``; None: none."""
        if number not in self._opened:
            self._opened[number] = self._sets.open_found(f"{number:016x}")
        fd = self._opened[number]
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

    def close(self) -> None:
        """Drop every descriptor."""
        for fd in self._opened.values():
            if fd is not None:
                fd.close()
        self._opened.clear()


def _holds(fd: Fd, length: int, bits: bytes) -> bool:
    return bpf_maps.lookup(fd, struct.pack("=I", length) + bits, 1) is not None
