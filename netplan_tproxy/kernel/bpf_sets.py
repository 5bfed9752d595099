"""The sets of the policy: LPM tries below the one map that the programs look them up in."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from pathlib import Path

from netplan_tproxy.kernel import bpf_maps
from netplan_tproxy.kernel.libbpf import Fd
from netplan_tproxy.layouts import SET

_PRESENT = b"\1"


class BpfSets:
    """``outer`` gives the map of maps; ``pins`` and ``pin``/``unpin`` the directory of sets."""

    def __init__(
        self,
        outer: Callable[[], Fd | None],
        pins: Callable[[], Iterable[Path]],
        pin: Callable[[str, Fd], None],
        unpin: Callable[[str], None],
    ) -> None:
        self._outer = outer
        self._pins = pins
        self._pin = pin
        self._unpin = unpin
        self._held: dict[str, Fd] = {}

    def present(self) -> list[str]:
        """Name the sets whose pin is the one that the programs find."""
        outer = self._outer()
        if outer is None:
            return []
        found = []
        for path in self._pins():
            with bpf_maps.open_pinned(str(path)) as fd:
                number = bpf_maps.lookup(outer, _key(path.name), 4)
                if number == struct.pack("=I", bpf_maps.map_info(fd).id):
                    found.append(path.name)
        return found

    def build(self, digest: str, prefixes: Iterable[tuple[int, bytes]]) -> None:
        """Create, fill and freeze a set aside. Raises KernelError."""
        content = [(struct.pack("=I", length) + bits, _PRESENT) for length, bits in prefixes]
        spec = bpf_maps.MapSpec(
            SET.name, SET.type, SET.key_size, SET.value_size, max(len(content), 1), SET.flags
        )
        fd = bpf_maps.create_map(spec)
        bpf_maps.update_many(fd, content)
        # From here on only the programs read it, and nobody writes it: its name, a digest
        # of the content, stays true.
        bpf_maps.freeze(fd)
        self._held[digest] = fd

    def hold(self, digest: str) -> None:
        """Keep a set alive for undo."""
        for path in self._pins():
            if path.name == digest:
                self._held[digest] = bpf_maps.open_pinned(str(path))

    def put(self, digest: str) -> None:
        """Make the programs find what was built or held."""
        outer = self._outer()
        fd = self._held[digest]
        if outer is not None:
            bpf_maps.update(outer, _key(digest), struct.pack("=I", int(fd)))
        self._pin(digest, fd)

    def remove(self, digest: str) -> None:
        """Take a set away; none is fine."""
        outer = self._outer()
        if outer is not None:
            bpf_maps.delete(outer, _key(digest))
        self._unpin(digest)

    def close(self) -> None:
        """Drop every descriptor."""
        for fd in self._held.values():
            fd.close()
        self._held.clear()


def _key(digest: str) -> bytes:
    return struct.pack("=Q", int(digest, 16))
