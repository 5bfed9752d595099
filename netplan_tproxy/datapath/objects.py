"""Our BPF objects of this network namespace: built aside, committed by pinning.

Whatever can fail (creating maps, compiling, loading, the verifier) happens before the
first change, on objects that only this process holds: if it fails they vanish with it.
Objects that a change takes away are held too, so that undo puts the same ones back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Container, Mapping
from dataclasses import dataclass

from netplan_tproxy.datapath import build, draining, fastpath
from netplan_tproxy.datapath import programs as datapath
from netplan_tproxy.datapath.layouts import MAPS, SETS
from netplan_tproxy.datapath.pins import Pins
from netplan_tproxy.datapath.sets import BpfSets
from netplan_tproxy.errors import KernelError, TproxyError
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf import programs as bpf_programs
from netplan_tproxy.kernel.bpf.libbpf import Fd

_LAYOUTS = MAPS + fastpath.MAPS


@dataclass(frozen=True)
class PinnedProgram:
    """A pinned program; ``current`` when all its maps are the pinned ones."""

    id: int
    current: bool


class BpfObjects(Pins):
    """Pins below ``BPFFS/netplan-tproxy/NETNS/{maps,programs}``."""

    def __init__(self) -> None:
        self._maps: dict[str, Fd] = {}
        self._programs: dict[str, Fd] = {}
        self._replaced: dict[str, Fd] = {}
        self._by_id: dict[int, Fd] = {}
        self._wanted: list[str] = []
        self.sets = BpfSets(
            self._sets_map,
            lambda: self._pins("sets"),
            lambda pin, fd: self._pin("sets", pin, fd),
            lambda pin: self._unpin("sets", pin),
        )

    # maps

    def maps(self) -> dict[str, int]:
        """Read the pinned maps' ids, by pin; a pin that is no map is not one."""
        found = {}
        for path in self._pins("maps"):
            with contextlib.suppress(KernelError), bpf_maps.open_pinned(str(path)) as fd:
                found[path.name] = bpf_maps.map_info(fd).id
        return found

    def build_map(self, pin: str) -> None:
        """Create a map aside. Raises KernelError."""
        layout = next(layout for layout in _LAYOUTS if layout.pin == pin)
        self._maps[pin] = bpf_maps.create_map(layout)

    def hold_map(self, pin: str) -> None:
        """Keep a pinned map alive for undo."""
        self._maps[pin] = self._open("maps", pin)

    def pin_map(self, pin: str) -> None:
        """Pin what was built or held."""
        self._pin("maps", pin, self._maps[pin])

    def unpin_map(self, pin: str) -> None:
        """Remove a pin; none is fine. What waits in ``socks`` is read first, or it waits on."""
        if pin == fastpath.SOCKS.pin and (self.directory("maps") / pin).exists():
            with self._open("maps", pin) as fd:
                drained = draining.wait_for_readers(fd)
                if not drained:
                    self._pin("draining", f"{pin}-{bpf_maps.map_info(fd).id}", fd)
        self._unpin("maps", pin)

    def drop_drained(self) -> None:
        """Let go of what stalled readers of an earlier fast path have read by now."""
        for path in self._pins("draining"):
            with bpf_maps.open_pinned(str(path)) as fd:
                drained = draining.is_read(fd)
            if drained:
                self._unpin("draining", path.name)

    def map_fd(self, pin: str) -> Fd:
        """Give a map that was built aside, or the pinned one. Raises KernelError."""
        if pin not in self._maps:
            self.hold_map(pin)
        return self._maps[pin]

    def open_map(self, pin: str) -> Fd:
        """Open the pinned map. Raises KernelError."""
        return self._open("maps", pin)

    def _sets_map(self) -> Fd | None:
        try:
            return self.map_fd(SETS.pin)
        except KernelError:
            return None

    def read_entry(self, pin: str, key: bytes) -> bytes | None:
        """Look one key up in a pinned map; None without map or entry."""
        try:
            fd = self._open("maps", pin)
        except KernelError:
            return None
        with fd:
            return bpf_maps.lookup(fd, key, bpf_maps.map_info(fd).value_size)

    def write_entry(self, pin: str, key: bytes, value: bytes) -> None:
        """Put one entry."""
        bpf_maps.update(self.map_fd(pin), key, value)

    def delete_entry(self, pin: str, key: bytes) -> None:
        """Remove one entry; none is fine."""
        bpf_maps.delete(self.map_fd(pin), key)

    # programs

    def programs(self) -> dict[str, PinnedProgram]:
        """Read the pinned programs, by pin."""
        pinned = set(self.maps().values())
        found = {}
        for path in self._pins("programs"):
            with contextlib.suppress(KernelError), bpf_maps.open_pinned(str(path)) as fd:
                info = bpf_programs.prog_info(fd)
                found[path.name] = PinnedProgram(info.id, set(info.map_ids) <= pinned)
        return found

    def want_program(self, pin: str) -> None:
        """Ask for a program to be built."""
        self._wanted.append(pin)

    def build_programs(self) -> None:
        """Compile and load what was asked for, with the maps built aside or pinned.

        Raises TproxyError.
        """
        pins = {pin.partition("@")[0]: pin for pin in self._wanted}
        self._wanted.clear()
        if not pins:
            return
        for name, pin in pins.items():
            if pin != datapath.pin_of(name):
                message = (
                    f"program {pin}: made by another version of this tool; nothing was touched"
                )
                raise TproxyError(message)
        for source in sorted({datapath.source_of(name) for name in pins}):
            self._build_source(
                source, {n: p for n, p in pins.items() if datapath.source_of(n) == source}
            )

    def _build_source(self, source: str, pins: Mapping[str, str]) -> None:
        module = build.compile_source(source, list(pins))
        layouts = {layout.name: layout for layout in _LAYOUTS}
        for name, pin in pins.items():
            compiled = module.programs[name]
            needed = {map_name for _, map_name in compiled.relocs}
            maps = {map_name: int(self.map_fd(layouts[map_name].pin)) for map_name in needed}
            self._programs[pin] = build.load(name, compiled, maps)

    def hold_pinned_program(self, pin: str) -> None:
        """Keep a pinned program alive for undo."""
        self._replaced[pin] = self._open("programs", pin)

    def hold_program(self, prog_id: int) -> None:
        """Keep a program that some filter runs alive for undo."""
        # Opening by id takes CAP_SYS_ADMIN; opening a pin does not.
        for path in (*self._pins("programs"), *self._pins("adopted")):
            fd = bpf_maps.open_pinned(str(path))
            if bpf_programs.prog_info(fd).id == prog_id:
                self._by_id[prog_id] = fd
                return
            fd.close()
        self._by_id[prog_id] = bpf_programs.prog_fd_by_id(prog_id)

    def pin_program(self, pin: str, *, current: bool) -> None:
        """Pin the program that was built, or (not ``current``, or undo) the one held."""
        fd = self._programs.get(pin) if current else None
        self._pin("programs", pin, fd or self._replaced[pin])

    def unpin_program(self, pin: str) -> None:
        """Remove a pin; none is fine."""
        self._unpin("programs", pin)

    def program_fd(self, pin: str, prog_id: int) -> int:
        """Give the program for a filter: the one with this id where it is held, else the pin."""
        if prog_id in self._by_id:
            return int(self._by_id[prog_id])
        if pin not in self._programs:
            self._programs[pin] = self._open("programs", pin)
        return int(self._programs[pin])

    def adopt_program(self, prog_id: int) -> None:
        """Pin somebody else's program, which a filter of ours takes the place of."""
        self._pin("adopted", str(prog_id), self._by_id[prog_id])

    def disown_program(self, prog_id: int) -> None:
        """Remove that pin: it is back in its place."""
        self._unpin("adopted", str(prog_id))

    def keep_adopted(self, prog_ids: Container[int]) -> None:
        """Remove the pins of all others: a filter of ours that was replaced is no adoption."""
        for path in self._pins("adopted"):
            if not (path.name.isdecimal() and int(path.name) in prog_ids):
                self._unpin("adopted", path.name)

    def close(self) -> None:
        """Drop every descriptor."""
        by_pin = (self._maps, self._programs, self._replaced)
        for fd in (*(fd for held in by_pin for fd in held.values()), *self._by_id.values()):
            fd.close()
        for held in by_pin:
            held.clear()
        self._by_id.clear()
        self.sets.close()
