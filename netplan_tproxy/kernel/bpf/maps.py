"""BPF maps and pins (bpf(2), kernel Documentation/bpf/maps.rst)."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.bpf.layout import MapSpec
from netplan_tproxy.kernel.bpf.libbpf import Fd, call, path_argument

SK_STORAGE = 24
_ENOTSUPP = 524  # of the kernel alone; errno has no name for it
_PER_CPU = frozenset({5, 6, 10, 21})


@dataclass(frozen=True)
class MapInfo:
    """What the kernel tells of a map (struct bpf_map_info)."""

    id: int
    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    name: str


class _CreateOptions(ctypes.Structure):
    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("btf_fd", ctypes.c_uint32),
        ("btf_key_type_id", ctypes.c_uint32),
        ("btf_value_type_id", ctypes.c_uint32),
        ("btf_vmlinux_value_type_id", ctypes.c_uint32),
        ("inner_map_fd", ctypes.c_uint32),
        ("map_flags", ctypes.c_uint32),
        ("map_extra", ctypes.c_uint64),
        ("numa_node", ctypes.c_uint32),
        ("map_ifindex", ctypes.c_uint32),
    )


def create_map(spec: MapSpec) -> Fd:
    """Create a map that lives as long as its descriptor. Raises KernelError."""
    options = _CreateOptions(sz=ctypes.sizeof(_CreateOptions), map_flags=spec.flags)
    what = f"create map {spec.name}"
    with contextlib.ExitStack() as held:
        if spec.type == SK_STORAGE:
            btf = held.enter_context(_storage_btf(spec.value_size))
            options.btf_fd, options.btf_key_type_id, options.btf_value_type_id = int(btf), 1, 3
        if spec.inner is not None:
            # The kernel takes what the inner maps are from one of them.
            options.inner_map_fd = int(held.enter_context(create_map(spec.inner)))
        return Fd(
            call(
                "bpf_map_create", spec.type, spec.name.encode(), spec.key_size,
                spec.value_size, spec.max_entries, ctypes.byref(options), what=what,
            )
        )  # fmt: skip


def _storage_btf(value_size: int) -> Fd:
    """Load the type information that the kernel wants of a socket storage map.

    Types (Documentation/bpf/btf.rst): 1 a 4-byte int, 2 a 1-byte int, 3 an array of 2.
    """
    strings = b"\0int\0byte\0"
    kind_int, kind_array = 1 << 24, 3 << 24
    types = struct.pack("=IIII", 1, kind_int, 4, 32)
    types += struct.pack("=IIII", 5, kind_int, 1, 8)
    types += struct.pack("=III", 0, kind_array, 0) + struct.pack("=III", 2, 1, value_size)
    header = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    blob = header + types + strings
    return Fd(call("bpf_btf_load", blob, len(blob), None, what="load map types"))


def open_pinned(path: str, what: str = "") -> Fd:
    """Open a pinned map or program; ``what`` is said of a failure. Raises KernelError."""
    return Fd(call("bpf_obj_get", path_argument(path), what=what or f"open {path}"))


def find_pinned(path: str, what: str = "") -> Fd | None:
    """Open a pinned map or program; None where there is none. Raises KernelError.

    Any other failure says nothing of what is there: who takes it for absence forgets what
    is his, or puts a second one beside it.
    """
    try:
        return open_pinned(path, what)
    except KernelError as refusal:
        if refusal.errno == errno.ENOENT:
            return None
        raise


def map_fd_by_id(number: int) -> Fd:
    """Open a map by its id. Raises KernelError (ENOENT: it is gone)."""
    return Fd(call("bpf_map_get_fd_by_id", number, what=f"open map {number}"))


def pin(fd: Fd, path: str, what: str = "") -> None:
    """Pin a map or program at a path that does not exist yet. Raises KernelError."""
    call("bpf_obj_pin", int(fd), path_argument(path), what=what or f"pin {path}")


def map_info(fd: Fd) -> MapInfo:
    """Ask the kernel what a map is. Raises KernelError (EINVAL: not a map's info)."""
    buffer = ctypes.create_string_buffer(88)
    size = ctypes.c_uint32(len(buffer))
    call("bpf_obj_get_info_by_fd", int(fd), buffer, ctypes.byref(size), what="read map")
    kind, number, key, value, entries, flags = struct.unpack_from("=IIIIII", buffer.raw)
    name = buffer.raw[24:40].split(b"\0", 1)[0].decode(errors="replace")
    return MapInfo(number, kind, key, value, entries, flags, name)


def possible_cpus() -> int:
    """How many values an entry of a per-CPU map has."""
    return call("libbpf_num_possible_cpus", what="count CPUs")


def entry_size(info: MapInfo) -> int:
    """Bytes that one value of a map takes in a buffer of user space."""
    if info.type in _PER_CPU:
        return (info.value_size + 7) // 8 * 8 * possible_cpus()
    return info.value_size


def lookup(fd: Fd, key: bytes, size: int) -> bytes | None:
    """Read one entry of ``size`` bytes; None when there is none."""
    value = ctypes.create_string_buffer(size)
    try:
        call("bpf_map_lookup_elem", int(fd), key, value, what="read map entry")
    except KernelError as refusal:
        if refusal.errno == errno.ENOENT:
            return None
        raise
    return value.raw


def entry(fd: Fd, key: bytes) -> bytes | None:
    """Read one entry of a map that is not per CPU; None when there is none."""
    return lookup(fd, key, map_info(fd).value_size)


def update(fd: Fd, key: bytes, value: bytes, flags: int = 0) -> None:
    """Put one entry."""
    call("bpf_map_update_elem", int(fd), key, value, ctypes.c_uint64(flags), what="put map entry")


def update_many(fd: Fd, entries: Sequence[tuple[bytes, bytes]]) -> None:
    """Put many entries with one call to the kernel (Linux >= 5.6, else one by one)."""
    if not entries:
        return
    keys_, values = b"".join(key for key, _ in entries), b"".join(value for _, value in entries)
    count = ctypes.c_uint32(len(entries))
    try:
        call(
            "bpf_map_update_batch", int(fd), keys_, values, ctypes.byref(count), None,
            what="fill map",
        )  # fmt: skip
    except KernelError as refusal:
        if refusal.errno not in {errno.EINVAL, errno.EOPNOTSUPP, _ENOTSUPP}:
            raise
        for key, value in entries:
            update(fd, key, value)


def freeze(fd: Fd) -> None:
    """Let user space never change a map again (Linux >= 5.2)."""
    call("bpf_map_freeze", int(fd), what="freeze map")


def delete(fd: Fd, key: bytes) -> bool:
    """Remove one entry; False when there was none."""
    try:
        call("bpf_map_delete_elem", int(fd), key, what="remove map entry")
    except KernelError as refusal:
        if refusal.errno == errno.ENOENT:
            return False
        raise
    return True


def keys(fd: Fd, key_size: int) -> Iterator[bytes]:
    """Walk the keys; one that goes while walking may start the walk over (bpf(2))."""
    key: bytes | None = None
    following = ctypes.create_string_buffer(key_size)
    for _ in range(1 << 24):
        try:
            call("bpf_map_get_next_key", int(fd), key, following, what="walk map")
        except KernelError as refusal:
            if refusal.errno == errno.ENOENT:
                return
            raise
        key = following.raw
        yield key
