"""Letting a frame come in by a device, as if the wire had brought it.

A program that is never attached runs once on the frame (BPF_PROG_TEST_RUN) and calls
bpf_clone_redirect, which hands a copy to the device's ingress: its tc filters, netfilter and
routing see it as they see any other. Nothing goes out.
"""

from __future__ import annotations

import ctypes
import struct

from netplan_tproxy.kernel.bpf.libbpf import call
from netplan_tproxy.kernel.bpf.programs import load_program

_SCHED_CLS = 3
_BPF_F_INGRESS = 1
_CLONE_REDIRECT = 13


class _RunOptions(ctypes.Structure):
    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("data_in", ctypes.c_char_p),
        ("data_out", ctypes.c_void_p),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("ctx_in", ctypes.c_void_p),
        ("ctx_out", ctypes.c_void_p),
        ("ctx_size_in", ctypes.c_uint32),
        ("ctx_size_out", ctypes.c_uint32),
        ("retval", ctypes.c_int32),
        ("repeat", ctypes.c_int),
        ("duration", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("cpu", ctypes.c_uint32),
        ("batch_size", ctypes.c_uint32),
    )


def let_arrive(ifindex: int, frame: bytes) -> None:
    """Let an Ethernet frame come in by a device of this thread's namespace.

    Raises TproxyError (ENODEV: no such device; it takes CAP_BPF and CAP_NET_ADMIN).
    """
    # The device into r2, the direction into r3 (r1 has the frame); the call; the end.
    code = b"".join(
        struct.pack("=BBhi", *each)
        for each in (
            (0xB7, 2, 0, ifindex), (0xB7, 3, 0, _BPF_F_INGRESS),
            (0x85, 0, 0, _CLONE_REDIRECT), (0x95, 0, 0, 0),
        )
    )  # fmt: skip
    program = load_program(
        name="arrive", prog_type=_SCHED_CLS, insns=code, license="GPL", relocs=(), maps={},
        quiet=True,
    )  # fmt: skip
    options = _RunOptions(
        sz=ctypes.sizeof(_RunOptions), data_in=frame, data_size_in=len(frame), repeat=1
    )
    with program:
        call("bpf_prog_test_run_opts", int(program), ctypes.byref(options), what="send a frame in")
