"""What others put in our place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netplan_tproxy.datapath.filter_names import HANDLE, PRIO
from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.kernel.bpf.programs import load_program
from netplan_tproxy.kernel.netlink.tc import CLSACT_EGRESS, FilterRecord

if TYPE_CHECKING:
    from tests.lab.host import Host

# mov r0, -1 (TC_ACT_UNSPEC); exit
NOTHING = bytes.fromhex("b7000000ffffffff" + "9500000000000000")


def put_other_program(host: Host, name: str, *, chain: int = 0) -> None:
    """Another program in place of ours on wan0's egress, or in another chain."""
    with host.namespace.entered(), Kernel() as kernel:
        number = kernel.links()["wan0"].ifindex
        record = FilterRecord(CLSACT_EGRESS, PRIO, HANDLE, "bpf", name, 0, chain=chain)
        with load_program(
            name="nothing", prog_type=3, insns=NOTHING, license="GPL", relocs=(), maps={}
        ) as fd:
            kernel.netlink.put_filter(number, record, int(fd))
