"""Listeners that share their port, which older kernels don't let a program assign."""

from __future__ import annotations

from collections.abc import Iterable

from netplan_tproxy.kernel import features
from netplan_tproxy.kernel.bpf.btf import knows_shared_ports
from netplan_tproxy.kernel.host.release import linux_version
from netplan_tproxy.kernel.sockets.diag import Socket
from netplan_tproxy.kernel.sockets.owners import owners
from netplan_tproxy.kernel.sockets.shared_port import shares_port

_SINCE = features.named("bpf_sk_assign of SO_REUSEPORT").since


def takes_shared_ports(version: features.Version) -> bool:
    """Whether this kernel, of a version, assigns sockets with SO_REUSEPORT.

    Before 6.6 it refuses them (ESOCKTNOSUPPORT), unless a distribution brought the change back.
    """
    return version >= _SINCE or knows_shared_ports()


def refused_listeners(listeners: Iterable[Socket]) -> set[int]:
    """Give the inodes of those that this kernel does not let a program assign.

    One that can't be asked (another user's, of another pid namespace) is left out.
    """
    if takes_shared_ports(linux_version()):
        return set()
    return {
        inode
        for inode, processes in owners(one.inode for one in listeners).items()
        if shares_port(inode, [pid for pid, _ in processes])
    }
