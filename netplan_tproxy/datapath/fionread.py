"""Whether FIONREAD tells the truth of a socket in a SOCKHASH, known by trying.

Until Linux 6.18.13 (6.12.74, 6.6.127) the kernel counts TCP's own queue alone, so what was
redirected reads as 0. Later ones count the redirected bytes alone, so what came over TCP does.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import sys
import termios
from contextlib import ExitStack, suppress
from ctypes import CDLL
from functools import cache

from netplan_tproxy.datapath import fastpath
from netplan_tproxy.datapath.attach import sockmap
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf import programs as bpf_programs
from netplan_tproxy.kernel.bpf.layout import SOCKHASH, MapSpec
from netplan_tproxy.kernel.bpf.libbpf import Fd

_CLONE_NEWNET, _SIOCSIFFLAGS, _IFF_UP = 0x40000000, 0x8914, 1
_QUEUE, _TCP, _UNKNOWN = 1, 2, 4
FAULTS = {
    0: "",
    _QUEUE: "answers 0 while redirected bytes wait",
    _TCP: "answers 0 while bytes wait that came over TCP",
    _QUEUE | _TCP: "answers 0 whatever waits",
}
_BYTES, _SECONDS = 100, 2.0
# return bpf_msg_redirect_hash(msg, sockets, &(u32){0}, BPF_F_INGRESS);
REDIRECT = b"".join(
    struct.pack("=BBhi", *insn)
    for insn in (
        (0x62, 0x0A, -4, 0),            # *(u32 *)(r10 - 4) = 0
        (0x18, 0x12, 0, 0), (0, 0, 0, 0),  # r2 = the map (pseudo map fd)
        (0xBF, 0xA3, 0, 0),             # r3 = r10
        (0x07, 0x03, 0, -4),            # r3 -= 4
        (0xB7, 0x04, 0, 1),             # r4 = BPF_F_INGRESS
        (0x85, 0, 0, 71),               # call bpf_msg_redirect_hash
        (0x95, 0, 0, 0),                # exit
    )
)  # fmt: skip


@cache
def fault() -> str:
    """Say what FIONREAD gets wrong, as the end of a sentence; "" where it is right.

    Tried with two sockets, in a network namespace that lasts for this one call.
    """
    child = os.fork()
    if child == 0:
        os._exit(_tried())
    _, status = os.waitpid(child, 0)
    return FAULTS.get(os.waitstatus_to_exitcode(status), "could not be tried")


def _tried() -> int:
    try:
        if CDLL(None).unshare(_CLONE_NEWNET) == 0:
            _set_up_loopback()
        with ExitStack() as held:
            return _measured(held)
    except BaseException:  # noqa: BLE001 - a forked child must never run its parent's handlers
        return _UNKNOWN


def _set_up_loopback() -> None:
    with socket.socket() as any_socket:
        request = struct.pack("=16sh14x", b"lo", _IFF_UP)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)


def _measured(held: ExitStack) -> int:
    sender, reader = _connected(held)
    sockets = held.enter_context(bpf_maps.create_map(MapSpec("probe", SOCKHASH, 4, 4, 2)))
    program = held.enter_context(_program(sockets))
    sockmap.put(sockets, int(program))
    _put(sockets, 0, reader)
    wrong = 0 if _counted(sender, reader) else _TCP
    _put(sockets, 1, sender)
    return wrong if _counted(sender, reader) else wrong | _QUEUE


def _connected(held: ExitStack) -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = held.enter_context(socket.create_connection(listener.getsockname(), _SECONDS))
        reader = held.enter_context(listener.accept()[0])
    return sender, reader


def _program(sockets: Fd) -> Fd:
    kind = fastpath.TYPES[fastpath.MSG]
    return bpf_programs.load_program(
        name="probe", prog_type=kind.program, expected_attach_type=kind.attach, insns=REDIRECT,
        license="GPL", relocs=((1, "probe"),), maps={"probe": int(sockets)},
    )  # fmt: skip


def _put(sockets: Fd, key: int, one: socket.socket) -> None:
    bpf_maps.update(sockets, struct.pack("=I", key), struct.pack("=I", one.fileno()))


def _counted(sender: socket.socket, reader: socket.socket) -> bool:
    """Send something; whether FIONREAD counts it. Raises OSError."""
    sender.sendall(bytes(_BYTES))
    if not select.select([reader], [], [], _SECONDS)[0]:
        raise TimeoutError
    answer = bytearray(4)
    fcntl.ioctl(reader, termios.FIONREAD, answer)
    reader.setblocking(False)  # noqa: FBT003
    left = _BYTES
    with suppress(BlockingIOError):
        while left > 0:
            left -= len(reader.recv(left)) or left
    return int.from_bytes(answer, sys.byteorder) == _BYTES
