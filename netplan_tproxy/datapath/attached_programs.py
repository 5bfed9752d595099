"""Programs as filters, cgroups and maps of sockets run them: by id, whoever loaded them."""

from __future__ import annotations

from collections.abc import Container
from itertools import chain

from netplan_tproxy.datapath.pinned_programs import PinnedPrograms
from netplan_tproxy.datapath.pins import Pins
from netplan_tproxy.kernel.bpf import programs as bpf_programs
from netplan_tproxy.kernel.bpf.libbpf import Fd

_FOLDER = "adopted"


class AttachedPrograms:
    """What undo puts back; those of others that ours replace are pinned below ``adopted/``."""

    def __init__(self, pins: Pins, programs: PinnedPrograms) -> None:
        self._pins = pins
        self._programs = programs
        self._held: dict[int, Fd] = {}

    def hold(self, prog_id: int) -> None:
        """Keep a program that something runs alive for undo. Raises KernelError."""
        # Opening by id takes CAP_SYS_ADMIN; opening a pin does not.
        for _, fd in chain(self._pins.each("programs"), self._pins.each(_FOLDER)):
            if bpf_programs.prog_info(fd).id == prog_id:
                self._held[prog_id] = fd
                return
            fd.close()
        self._held[prog_id] = bpf_programs.prog_fd_by_id(prog_id)

    def fd(self, pin: str, prog_id: int) -> int:
        """Give the program with this id where it is held, else the one of the pin.

        Raises KernelError.
        """
        held = self._held.get(prog_id)
        return int(held if held is not None else self._programs.fd(pin))

    def adopt(self, prog_id: int) -> None:
        """Pin somebody else's program, which ours takes the place of. Raises KernelError."""
        self._pins.put(_FOLDER, str(prog_id), self._held[prog_id])

    def give_back(self, prog_id: int) -> None:
        """Remove that pin: the program is back in its place. Raises KernelError."""
        self._pins.remove(_FOLDER, str(prog_id))

    def keep_adopted(self, prog_ids: Container[int]) -> None:
        """Remove the pins of all others: one of ours that was replaced is no adoption."""
        for pin in self._pins.listing(_FOLDER):
            if not (pin.isdecimal() and int(pin) in prog_ids):
                self._pins.remove(_FOLDER, pin)

    def close(self) -> None:
        """Drop every descriptor."""
        for fd in self._held.values():
            fd.close()
        self._held.clear()
