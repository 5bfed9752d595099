"""Our programs, by pin: compiled and loaded aside, committed by pinning."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from netplan_tproxy.datapath import build
from netplan_tproxy.datapath import programs as datapath
from netplan_tproxy.datapath.compile_cache import CompileCache
from netplan_tproxy.datapath.pinned_maps import LAYOUTS, PinnedMaps
from netplan_tproxy.datapath.pins import Pins
from netplan_tproxy.errors import TproxyError
from netplan_tproxy.kernel.bpf import programs as bpf_programs
from netplan_tproxy.kernel.bpf.libbpf import Fd
from netplan_tproxy.kernel.bpf.toolchain import require_bcc

_FOLDER = "programs"


@dataclass(frozen=True)
class PinnedProgram:
    """A pinned program; ``current`` when all its maps are the pinned ones."""

    id: int
    current: bool


class PinnedPrograms:
    """Below ``programs/``; a pin's name holds the digest of the program's source."""

    def __init__(self, pins: Pins, maps: PinnedMaps, cache: CompileCache) -> None:
        self._pins = pins
        self._cache = cache
        self._maps = maps
        self._wanted: list[str] = []
        self._built: dict[str, Fd] = {}
        self._replaced: dict[str, Fd] = {}

    def pinned(self, map_ids: Collection[int]) -> dict[str, PinnedProgram]:
        """Read the pinned programs, by pin; ``map_ids`` are those of the pinned maps.

        Raises KernelError.
        """
        programs = {}
        for pin, fd in self._pins.each(_FOLDER):
            with fd:
                info = bpf_programs.prog_info(fd)
            programs[pin] = PinnedProgram(info.id, set(info.map_ids) <= set(map_ids))
        return programs

    def want(self, pin: str) -> None:
        """Ask for a program to be built."""
        self._wanted.append(pin)

    def build(self) -> None:
        """Compile and load what was asked for, with the maps built aside or pinned.

        Raises TproxyError.
        """
        pins = {pin.partition("@")[0]: pin for pin in self._wanted}
        self._wanted.clear()
        for name, pin in pins.items():
            if pin != datapath.pin_of(name):
                message = (
                    f"program {pin}: made by another version of this tool; nothing was touched"
                )
                raise TproxyError(message)
        for source, names in _by_source(pins).items():
            self._build_source(source, {name: pins[name] for name in names})

    def require_compiler(self, pins: Collection[str]) -> None:
        """Raise TproxyError where ``pins`` are to be built, and there is no compiler for them."""
        for file, names in _by_source(pin.partition("@")[0] for pin in pins).items():
            if self._cache.known(build.source_of(file, names)) is None:
                require_bcc()

    def _build_source(self, file: str, pins: Mapping[str, str]) -> None:
        source = build.source_of(file, list(pins))
        module = self._cache.known(source)
        if module is None:
            module = build.compile_source(source)
            self._cache.keep(source, module.programs)
        layouts = {layout.name: layout for layout in LAYOUTS}
        for name, pin in pins.items():
            compiled = module.programs[name]
            needed = {map_name for _, map_name in compiled.relocs}
            maps = {map_name: int(self._maps.fd(layouts[map_name].pin)) for map_name in needed}
            self._built[pin] = build.load(name, compiled, maps)

    def hold(self, pin: str) -> None:
        """Keep a pinned program alive for undo. Raises KernelError."""
        self._replaced[pin] = self._pins.open(_FOLDER, pin)

    def pin(self, pin: str, *, current: bool) -> None:
        """Pin the program that was built, or (not ``current``, or undo) the one held."""
        fd = self._built.get(pin) if current else None
        self._pins.put(_FOLDER, pin, fd or self._replaced[pin])

    def unpin(self, pin: str) -> None:
        """Remove a pin; none is fine. Raises KernelError."""
        self._pins.remove(_FOLDER, pin)

    def fd(self, pin: str) -> Fd:
        """Give the program that was built, else the pinned one. Raises KernelError."""
        if pin not in self._built:
            self._built[pin] = self._pins.open(_FOLDER, pin)
        return self._built[pin]

    def close(self) -> None:
        """Drop every descriptor."""
        for held in (self._built, self._replaced):
            for fd in held.values():
                fd.close()
            held.clear()


def _by_source(names: Iterable[str]) -> dict[str, list[str]]:
    """Sort programs by the file that they are made from."""
    sources: dict[str, list[str]] = {}
    for name in sorted(names):
        sources.setdefault(datapath.source_of(name), []).append(name)
    return dict(sorted(sources.items()))
