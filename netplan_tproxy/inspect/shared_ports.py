"""Listeners that share their port, which older kernels don't let a program assign."""

from __future__ import annotations

from collections.abc import Iterable

from netplan_tproxy.kernel.host.release import linux_version
from netplan_tproxy.kernel.sockets.diag import Socket
from netplan_tproxy.kernel.sockets.owners import owners
from netplan_tproxy.kernel.sockets.shared_port import shares_port

# Before, bpf_sk_assign refuses a socket with SO_REUSEPORT (ESOCKTNOSUPPORT).
TAKES_SHARED_PORTS = (6, 6)


def refused_listeners(listeners: Iterable[Socket]) -> set[int]:
    """Give the inodes of those that this kernel does not let a program assign.

    One that can't be asked (another user's, of another pid namespace) is left out.
    """
    if linux_version() >= TAKES_SHARED_PORTS:
        return set()
    return {
        inode
        for inode, processes in owners(one.inode for one in listeners).items()
        if shares_port(inode, [pid for pid, _ in processes])
    }
