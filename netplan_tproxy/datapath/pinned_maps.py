"""The maps that our programs share, by pin: built aside, committed by pinning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from netplan_tproxy.datapath import fastpath
from netplan_tproxy.datapath.draining import DrainingMaps
from netplan_tproxy.datapath.layouts import MAPS
from netplan_tproxy.datapath.pins import Pins
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf.dump import entries
from netplan_tproxy.kernel.bpf.libbpf import Fd

_FOLDER = "maps"
LAYOUTS = MAPS + fastpath.MAPS


class PinnedMap(NamedTuple):
    """A pinned map that is open."""

    id: int
    fd: Fd


class PinnedMaps:
    """Below ``maps/``; a pin's name holds the layout of its map."""

    def __init__(self, pins: Pins) -> None:
        self._pins = pins
        self._draining = DrainingMaps(pins)
        self._held: dict[str, Fd] = {}

    def opened(self) -> dict[str, PinnedMap]:
        """Open every pinned map, by pin. Raises KernelError."""
        pins = self._pins.each(_FOLDER)
        return {pin: PinnedMap(bpf_maps.map_info(fd).id, fd) for pin, fd in pins}

    def ids(self) -> dict[str, int]:
        """Read the pinned maps' ids, by pin."""
        maps = self.opened()
        for one in maps.values():
            one.fd.close()
        return {pin: one.id for pin, one in maps.items()}

    def build(self, pin: str) -> None:
        """Create a map aside. Raises KernelError."""
        layout = next(layout for layout in LAYOUTS if layout.pin == pin)
        self._held[pin] = bpf_maps.create_map(layout)

    def hold(self, pin: str) -> None:
        """Keep a pinned map alive for undo. Raises KernelError."""
        self._held[pin] = self.open(pin)

    def pin(self, pin: str) -> None:
        """Pin what was built or held. Raises KernelError."""
        self._pins.put(_FOLDER, pin, self._held[pin])

    def unpin(self, pin: str) -> None:
        """Remove a pin; none is fine. What waits in a map of sockets is read first."""
        sockets = self.find(pin) if pin == fastpath.SOCKS.pin else None
        if sockets is not None:
            with sockets:
                self._draining.wait_or_keep(pin, sockets)
        self._pins.remove(_FOLDER, pin)

    def drop_drained(self) -> None:
        """Let go of maps of sockets that were kept for slow readers, and are read by now."""
        self._draining.drop_read()

    def open(self, pin: str) -> Fd:
        """Open the pinned map. Raises KernelError."""
        return self._pins.open(_FOLDER, pin)

    def find(self, pin: str) -> Fd | None:
        """Open the pinned map; None where there is none. Raises KernelError."""
        return self._pins.find(_FOLDER, pin)

    def fd(self, pin: str) -> Fd:
        """Give the map that was built aside or is held, else the pinned one. Raises KernelError."""
        if pin not in self._held:
            self.hold(pin)
        return self._held[pin]

    def read_entry(self, pin: str, key: bytes) -> bytes | None:
        """Look one key up in a pinned map; None without map or entry. Raises KernelError."""
        fd = self.find(pin)
        if fd is None:
            return None
        with fd:
            return bpf_maps.entry(fd, key)

    def held_or_pinned(self, pin: str) -> Fd | None:
        """Give the map that was built aside or is held, else the pinned one, else None.

        Raises KernelError.
        """
        if pin not in self._held:
            fd = self.find(pin)
            if fd is None:
                return None
            self._held[pin] = fd
        return self._held[pin]

    def entries(self, pin: str) -> Iterator[tuple[bytes, bytes]]:
        """Walk a pinned map's keys and values; nothing without the map. Raises KernelError."""
        fd = self.find(pin)
        if fd is not None:
            with fd:
                yield from entries(fd)

    def write_entry(self, pin: str, key: bytes, value: bytes) -> None:
        """Put one entry. Raises KernelError."""
        bpf_maps.update(self.fd(pin), key, value)

    def delete_entry(self, pin: str, key: bytes) -> None:
        """Remove one entry; none is fine. Raises KernelError."""
        bpf_maps.delete(self.fd(pin), key)

    def clear(self, pin: str) -> None:
        """Remove every entry of a hash; no map is fine. Raises KernelError."""
        fd = self.held_or_pinned(pin)
        if fd is not None:
            for key in list(bpf_maps.keys(fd, bpf_maps.map_info(fd).key_size)):
                bpf_maps.delete(fd, key)

    def close(self) -> None:
        """Drop every descriptor."""
        for fd in self._held.values():
            fd.close()
        self._held.clear()
