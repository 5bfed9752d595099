"""Reading whole maps, and how long a program has been loaded."""

from __future__ import annotations

import ctypes
import errno
import struct
import time
from collections.abc import Iterator

from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf.libbpf import Fd, call

_BATCH = 4096
_NO_BATCHES = frozenset({errno.EINVAL, errno.EOPNOTSUPP, 524})  # 524: the kernel's ENOTSUPP


def entries(fd: Fd) -> Iterator[tuple[bytes, bytes]]:
    """Walk a map's keys and values; of a per-CPU map the values of all CPUs in a row.

    With a few calls to the kernel (Linux >= 5.6), else one by one. What changes meanwhile
    may be seen or not.
    """
    info = bpf_maps.map_info(fd)
    size = bpf_maps.entry_size(info)
    try:
        yield from _batched(fd, info.key_size, size, max(info.max_entries, 1))
    except KernelError as refusal:
        if refusal.errno not in _NO_BATCHES:
            raise
        for key in bpf_maps.keys(fd, info.key_size):
            value = bpf_maps.lookup(fd, key, size)
            if value is not None:
                yield key, value


def _batched(fd: Fd, key_size: int, value_size: int, most: int) -> Iterator[tuple[bytes, bytes]]:
    # A bucket of a hash does not stop half-way: ENOSPC where it doesn't fit.
    room = min(_BATCH, most) + 64
    keys = ctypes.create_string_buffer(room * key_size)
    values = ctypes.create_string_buffer(room * value_size)
    place = ctypes.create_string_buffer(max(key_size, 8))
    begun = False
    for _ in range(most + 1):
        count = ctypes.c_uint32(room)
        over = False
        try:
            call(
                "bpf_map_lookup_batch", int(fd), place if begun else None, place, keys, values,
                ctypes.byref(count), None, what="read map",
            )  # fmt: skip
        except KernelError as refusal:
            if refusal.errno != errno.ENOENT:
                raise
            over = True
        known, held = keys.raw, values.raw
        for at in range(count.value):
            yield (
                known[at * key_size : (at + 1) * key_size],
                held[at * value_size : (at + 1) * value_size],
            )
        if over:
            return
        begun = True


def program_age(fd: Fd) -> float:
    """Give the seconds since a program was loaded (load_time of struct bpf_prog_info)."""
    buffer = ctypes.create_string_buffer(232)
    size = ctypes.c_uint32(len(buffer))
    call("bpf_obj_get_info_by_fd", int(fd), buffer, ctypes.byref(size), what="read program")
    loaded = int(struct.unpack_from("=Q", buffer.raw, 40)[0])
    return max(0, time.clock_gettime_ns(time.CLOCK_BOOTTIME) - loaded) / 1e9
