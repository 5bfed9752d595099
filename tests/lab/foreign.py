"""What others put in our place."""

from __future__ import annotations

import ctypes
import socket
from typing import TYPE_CHECKING

from netplan_tproxy.datapath.filter_names import HANDLE, PRIO
from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.kernel.bpf import tcx
from netplan_tproxy.kernel.bpf.libbpf import Fd, call
from netplan_tproxy.kernel.bpf.programs import load_program
from netplan_tproxy.kernel.netlink.tc import CLSACT_EGRESS, FilterRecord

if TYPE_CHECKING:
    from tests.lab.host import Host
    from tests.lab.namespace import Namespace

# mov r0, -1 (TC_ACT_UNSPEC); exit
NOTHING = bytes.fromhex("b7000000ffffffff" + "9500000000000000")
# mov r0, 0 (TC_ACT_OK, TCX_PASS); exit
ACCEPTS = bytes.fromhex("b700000000000000" + "9500000000000000")


def put_tcx(
    where: Namespace, device: str, hook: str, *, code: bytes = NOTHING, flags: int = 0
) -> Fd:
    """A tcx program of somebody else's, the last of its hook; it goes when this is closed."""
    with where.entered(), program_of_others(code) as program:
        number = socket.if_nametoindex(device)
        options = tcx._CreateOptions(sz=ctypes.sizeof(tcx._CreateOptions), flags=flags)
        words = (int(program), number, tcx.HOOKS[hook], ctypes.byref(options))
        return Fd(call("bpf_link_create", *words, what="attach a program of others"))


def program_of_others(code: bytes = NOTHING) -> Fd:
    """A program that leaves everything alone."""
    return load_program(name="nothing", prog_type=3, insns=code, license="GPL", relocs=(), maps={})


def put_other_program(host: Host, name: str, *, chain: int = 0) -> None:
    """Another program in place of ours on wan0's egress, or in another chain."""
    with host.namespace.entered(), Kernel() as kernel:
        number = kernel.links()["wan0"].ifindex
        record = FilterRecord(CLSACT_EGRESS, PRIO, HANDLE, "bpf", name, 0, chain=chain)
        with program_of_others() as fd:
            kernel.netlink.put_filter(number, record, int(fd))
