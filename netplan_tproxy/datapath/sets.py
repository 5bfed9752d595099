"""The sets of the policy: LPM tries below the one map that the programs look them up in.

A set goes by its digest, 16 hexadecimal digits: that is its pin below ``sets/``, and as a
number its key in the map of maps.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from netplan_tproxy.datapath.layouts import SET, SETS
from netplan_tproxy.datapath.pinned_maps import PinnedMaps
from netplan_tproxy.datapath.pins import Pins
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf.layout import MapSpec
from netplan_tproxy.kernel.bpf.libbpf import Fd

_FOLDER = "sets"
_PRESENT = b"\1"
_KEY = struct.Struct("=Q")
_ID = struct.Struct("=I")


class PolicySets:
    """The sets that are pinned, and those that the programs find."""

    def __init__(self, pins: Pins, maps: PinnedMaps) -> None:
        self._pins = pins
        self._maps = maps
        self._held: dict[str, Fd] = {}

    def present(self, outer: Fd | None) -> dict[str, bool]:
        """Name what is pinned or found by the programs; True: both, and it is one set.

        ``outer`` is the map of maps that the programs look in. Raises KernelError.
        """
        digests = set(self._pins.listing(_FOLDER))
        if outer is not None:
            digests |= {f"{_KEY.unpack(key)[0]:016x}" for key in bpf_maps.keys(outer, _KEY.size)}
        return {digest: self._is_whole(outer, digest) for digest in sorted(digests)}

    def _is_whole(self, outer: Fd | None, digest: str) -> bool:
        fd = self._pins.find(_FOLDER, digest)
        if fd is None:
            return False
        with fd:
            return bpf_maps.map_info(fd).id == _found(outer, digest)

    def open_found(self, digest: str) -> Fd | None:
        """Open the set that the programs find; None: they find none. Raises KernelError."""
        number = _found(self._outer(), digest)
        if not number:
            return None
        # Opening by id takes CAP_SYS_ADMIN; opening a pin does not.
        fd = self._pins.find(_FOLDER, digest)
        if fd is not None:
            if bpf_maps.map_info(fd).id == number:
                return fd
            fd.close()
        return bpf_maps.map_fd_by_id(number)

    def build(self, digest: str, prefixes: Iterable[tuple[int, bytes]]) -> None:
        """Create, fill and freeze a set aside. Raises KernelError."""
        self._held[digest] = filled_set(prefixes)

    def hold(self, digest: str) -> None:
        """Keep a set alive for undo. Raises KernelError."""
        fd = self._pins.find(_FOLDER, digest)
        self._held[digest] = fd or bpf_maps.map_fd_by_id(_found(self._outer(), digest))

    def put(self, digest: str) -> None:
        """Make the programs find what was built or held. Raises KernelError."""
        outer, key = self._outer(), _key(digest)
        fd = self._held[digest]
        if outer is not None and key:
            bpf_maps.update(outer, key, _ID.pack(int(fd)))
        self._pins.put(_FOLDER, digest, fd)

    def remove(self, digest: str) -> None:
        """Take a set away; none is fine. Raises KernelError."""
        outer, key = self._outer(), _key(digest)
        if outer is not None and key:
            if digest in self._held:
                # A program under way may still go by the config that named the set. Writing
                # to a map of maps waits until there is none (maybe_wait_bpf_programs).
                bpf_maps.update(outer, key, _ID.pack(int(self._held[digest])))
            bpf_maps.delete(outer, key)
        self._pins.remove(_FOLDER, digest)

    def close(self) -> None:
        """Drop every descriptor."""
        for fd in self._held.values():
            fd.close()
        self._held.clear()

    def _outer(self) -> Fd | None:
        """Give the map of maps; None where there is none. Raises KernelError."""
        return self._maps.held_or_pinned(SETS.pin)


def _found(outer: Fd | None, digest: str) -> int:
    """Give the id of the set that the programs find; 0: they find none."""
    key = _key(digest)
    value = bpf_maps.lookup(outer, key, _ID.size) if outer is not None and key else None
    return int(_ID.unpack(value)[0]) if value else 0


def filled_set(prefixes: Iterable[tuple[int, bytes]]) -> Fd:
    """Create, fill and freeze a set. Raises KernelError."""
    entries = [(struct.pack("=I", length) + bits, _PRESENT) for length, bits in prefixes]
    spec = MapSpec(
        SET.name, SET.type, SET.key_size, SET.value_size, max(len(entries), 1), SET.flags
    )
    fd = bpf_maps.create_map(spec)
    bpf_maps.update_many(fd, entries)
    # From here on only the programs read it, and nobody writes it: its name, a digest of
    # the content, stays true.
    bpf_maps.freeze(fd)
    return fd


def _key(digest: str) -> bytes | None:
    """Give the key; None for a name that is no digest, such as a killed run may have left."""
    try:
        return _KEY.pack(int(digest, 16))
    except (ValueError, struct.error):
        return None
