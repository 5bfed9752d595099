"""Our sk_msg program on a map of sockets. A map has one at most."""

from __future__ import annotations

from netplan_tproxy.datapath.fastpath import MSG, TYPES
from netplan_tproxy.kernel.bpf import attach
from netplan_tproxy.kernel.bpf.libbpf import Fd

_KIND = TYPES[MSG].attach


def attached(sockets: Fd) -> int:
    """Give the id of the program of a map; 0: it has none. Raises KernelError."""
    return next(iter(attach.query(sockets, _KIND)), 0)


def put(sockets: Fd, program: int) -> None:
    """Give the map's sockets a program, in place of the one they have. Raises KernelError."""
    attach.attach(program, sockets, _KIND, 0, None)


def remove(sockets: Fd, program: int) -> None:
    """Take the program away; none is fine. Raises KernelError."""
    attach.detach(program, sockets, _KIND)
