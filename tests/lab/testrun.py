"""Running a loaded tc program on a frame without sending anything (BPF_PROG_TEST_RUN)."""

from __future__ import annotations

import ctypes
import struct
from typing import NamedTuple

from netplan_tproxy.kernel.bpf.libbpf import Fd, call


class _RunOptions(ctypes.Structure):
    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("data_in", ctypes.c_char_p),
        ("data_out", ctypes.c_void_p),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("ctx_in", ctypes.c_char_p),
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


# struct __sk_buff: mark at 8, ingress_ifindex and ifindex at 36, cb[5] at 48.
_CONTEXT = struct.Struct("=8xI24xII4x5I124x")
_ROOM = 4096


class SkBuff(NamedTuple):
    """What of struct __sk_buff a test run takes and gives back; ``ifindex`` 0: ``lo``."""

    mark: int = 0
    ingress_ifindex: int = 0
    ifindex: int = 0
    cb: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)


class Ran(NamedTuple):
    """What a program returned, and what it left of the frame and its context."""

    retval: int
    data: bytes
    skb: SkBuff


_PLAIN = SkBuff()


def prog_test_run(fd: Fd, frame: bytes, skb: SkBuff = _PLAIN, *, repeat: int = 1) -> Ran:
    """Run a loaded tc program on ``frame`` without sending anything (BPF_PROG_TEST_RUN).

    The frame has an Ethernet header, which gives ``skb->protocol``, and a whole IP header
    behind it if it says so (Linux 6.18 refuses less). The network namespace is the calling
    thread's. The program sees a socket of no protocol, and ``bpf_sk_assign`` refuses.
    Raises KernelError (EINVAL: such a frame; ENOSPC: it grew by more than 512 bytes).
    """
    data = ctypes.create_string_buffer(max(_ROOM, len(frame) + 512))
    context = ctypes.create_string_buffer(_CONTEXT.size)
    given = _CONTEXT.pack(skb.mark, skb.ingress_ifindex, skb.ifindex, *skb.cb)
    options = _RunOptions(
        sz=ctypes.sizeof(_RunOptions),
        data_in=frame,
        data_out=ctypes.addressof(data),
        data_size_in=len(frame),
        data_size_out=len(data),
        ctx_in=given,
        ctx_out=ctypes.addressof(context),
        ctx_size_in=len(given),
        ctx_size_out=len(context),
        repeat=repeat,
    )
    call("bpf_prog_test_run_opts", int(fd), ctypes.byref(options), what="run program")
    mark, ingress, ifindex, *cb = _CONTEXT.unpack(context)
    left = SkBuff(mark, ingress, ifindex, (cb[0], cb[1], cb[2], cb[3], cb[4]))
    return Ran(options.retval, data.raw[: options.data_size_out], left)
