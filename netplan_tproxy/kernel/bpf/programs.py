"""Loading BPF programs and asking what they are (bpf(2))."""

from __future__ import annotations

import ctypes
import errno
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netplan_tproxy.errors import KernelError, TproxyError
from netplan_tproxy.kernel import features
from netplan_tproxy.kernel.bpf.libbpf import Fd, call
from netplan_tproxy.kernel.host.capabilities import may_read_kernel_memory

_LOG_SIZE = 1 << 20
_INSN = 8
_PSEUDO_MAP_FD = 1
_UNKNOWN = re.compile(
    r"(?:(?:unknown|invalid) func |program of this type cannot use helper )(\w+)#(\d+)"
)


class MissingHelperError(TproxyError):
    """This kernel has not got a helper that a program calls."""


@dataclass(frozen=True)
class ProgInfo:
    """What the kernel tells of a program (struct bpf_prog_info); ``tag`` in hexadecimal."""

    id: int
    type: int
    tag: str
    name: str
    map_ids: tuple[int, ...]


class _LoadOptions(ctypes.Structure):
    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("attempts", ctypes.c_int),
        ("expected_attach_type", ctypes.c_int),
        ("prog_btf_fd", ctypes.c_uint32),
        ("prog_flags", ctypes.c_uint32),
        ("prog_ifindex", ctypes.c_uint32),
        ("kern_version", ctypes.c_uint32),
        ("attach_btf_id", ctypes.c_uint32),
        ("attach_prog_fd", ctypes.c_uint32),
        ("attach_btf_obj_fd", ctypes.c_uint32),
        ("fd_array", ctypes.c_void_p),
        ("func_info", ctypes.c_void_p),
        ("func_info_cnt", ctypes.c_uint32),
        ("func_info_rec_size", ctypes.c_uint32),
        ("line_info", ctypes.c_void_p),
        ("line_info_cnt", ctypes.c_uint32),
        ("line_info_rec_size", ctypes.c_uint32),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log_buf", ctypes.c_void_p),
    )


def load_program(  # noqa: PLR0913 - what a program is takes this many words
    *,
    name: str,
    prog_type: int,
    insns: bytes,
    license: str,  # noqa: A002 - the kernel's own word for it
    relocs: Sequence[tuple[int, str]],
    maps: Mapping[str, int],
    expected_attach_type: int = 0,
    quiet: bool = False,
) -> Fd:
    """Load a program, its map references pointed at ``maps``; ``quiet``: without a log line.

    Raises TproxyError that names a missing helper and the Linux that has it, or
    KernelError with the verifier's last word.
    """
    code = bytearray(insns)
    for index, map_name in relocs:
        struct.pack_into("=i", code, index * _INSN + 4, maps[map_name])
    for level in (0, 1):
        log = ctypes.create_string_buffer(_LOG_SIZE if level else 1)
        options = _LoadOptions(
            sz=ctypes.sizeof(_LoadOptions),
            attempts=1,
            expected_attach_type=expected_attach_type,
            log_level=level,
            log_size=_LOG_SIZE if level else 0,
            log_buf=ctypes.addressof(log) if level else None,
        )
        try:
            return Fd(
                call(
                    "bpf_prog_load", prog_type, name.encode(), license.encode(), bytes(code),
                    ctypes.c_size_t(len(code) // _INSN), ctypes.byref(options),
                    what=f"load program {name}", quiet=quiet,
                )
            )  # fmt: skip
        except KernelError as refusal:
            if level or refusal.errno == errno.EPERM:
                told = log.value.decode(errors="replace")
                raise explained(name, refusal, told, prog_type) from refusal
    raise AssertionError


def explained(
    name: str, refusal: KernelError, log: str, prog_type: int = features.SCHED_CLS
) -> TproxyError:
    """Say what the verifier's log means."""
    unknown = _UNKNOWN.search(log)
    if unknown:
        helper = features.helper(prog_type, unknown[1], int(unknown[2]))
        lacking = features.lacking(f"program {name}", [helper])
        return MissingHelperError(f"{lacking}; nothing was touched")
    if "!root" in log or (refusal.errno == errno.EPERM and not may_read_kernel_memory()):
        message = f"program {name}: CAP_PERFMON missing: the verifier asks it of who loads programs"
        return TproxyError(f"{message}; nothing was touched")
    said = [line for line in log.splitlines() if line and not line.startswith("processed ")]
    last = f" ({said[-1].strip()})" if said else ""
    return KernelError(f"{refusal}{last}", refusal.errno)


def prog_info(fd: Fd) -> ProgInfo:
    """Ask the kernel what a program is. Raises KernelError."""
    map_ids = (ctypes.c_uint32 * 64)()
    buffer = ctypes.create_string_buffer(232)
    # nr_map_ids and map_ids of struct bpf_prog_info: ask for the ids.
    struct.pack_into("=I", buffer, 52, len(map_ids))
    struct.pack_into("=Q", buffer, 56, ctypes.addressof(map_ids))
    size = ctypes.c_uint32(len(buffer))
    call("bpf_obj_get_info_by_fd", int(fd), buffer, ctypes.byref(size), what="read program")
    kind, number = struct.unpack_from("=II", buffer.raw)
    (count,) = struct.unpack_from("=I", buffer.raw, 52)
    name = buffer.raw[64:80].split(b"\0", 1)[0].decode(errors="replace")
    return ProgInfo(number, kind, buffer.raw[8:16].hex(), name, tuple(map_ids[:count]))


def prog_fd_by_id(number: int) -> Fd:
    """Open a program by its id. Raises KernelError (ENOENT: it is gone)."""
    return Fd(call("bpf_prog_get_fd_by_id", number, what=f"open program {number}"))
