"""The sets of the policy: LPM tries below the one map that the programs look them up in."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

from netplan_tproxy.datapath.layouts import SET
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf.layout import MapSpec
from netplan_tproxy.kernel.bpf.libbpf import Fd

_PRESENT = b"\1"
_KEY = struct.Struct("=Q")


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

    def present(self) -> dict[str, bool]:
        """Name what is pinned or found by the programs; True: both, and it is one set."""
        outer = self._outer()
        names = {path.name for path in self._pins()}
        if outer is not None:
            names |= {f"{_KEY.unpack(key)[0]:016x}" for key in bpf_maps.keys(outer, _KEY.size)}
        return {name: self._is_whole(name) for name in sorted(names)}

    def _is_whole(self, digest: str) -> bool:
        with contextlib.suppress(KernelError), self._open_pin(digest) as fd:
            return bpf_maps.map_info(fd).id == self._found(digest)
        return False

    def _open_pin(self, digest: str) -> Fd:
        path = next((path for path in self._pins() if path.name == digest), digest)
        return bpf_maps.open_pinned(str(path))

    def _found(self, digest: str) -> int:
        """Give the id of the set that the programs find; 0: they find none."""
        outer, key = self._outer(), _key(digest)
        value = bpf_maps.lookup(outer, key, 4) if outer is not None and key else None
        return int(struct.unpack("=I", value)[0]) if value else 0

    def build(self, digest: str, prefixes: Iterable[tuple[int, bytes]]) -> None:
        """Create, fill and freeze a set aside. Raises KernelError."""
        content = [(struct.pack("=I", length) + bits, _PRESENT) for length, bits in prefixes]
        spec = MapSpec(
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
        try:
            self._held[digest] = self._open_pin(digest)
        except KernelError:
            self._held[digest] = bpf_maps.map_fd_by_id(self._found(digest))

    def put(self, digest: str) -> None:
        """Make the programs find what was built or held."""
        outer, key = self._outer(), _key(digest)
        fd = self._held[digest]
        if outer is not None and key:
            bpf_maps.update(outer, key, struct.pack("=I", int(fd)))
        self._pin(digest, fd)

    def remove(self, digest: str) -> None:
        """Take a set away; none is fine."""
        outer, key = self._outer(), _key(digest)
        if outer is not None and key:
            if digest in self._held:
                # A program under way may still go by the config that named the set. Writing
                # to a map of maps waits until there is none (maybe_wait_bpf_programs).
                bpf_maps.update(outer, key, struct.pack("=I", int(self._held[digest])))
            bpf_maps.delete(outer, key)
        self._unpin(digest)

    def close(self) -> None:
        """Drop every descriptor."""
        for fd in self._held.values():
            fd.close()
        self._held.clear()


def _key(digest: str) -> bytes | None:
    """Give the key; None for a name that is no digest, such as a killed run may have left."""
    try:
        return _KEY.pack(int(digest, 16))
    except (ValueError, struct.error):
        return None
