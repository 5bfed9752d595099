"""What ``--status`` is made of, read from a host's kernel."""

from __future__ import annotations

import socket
from typing import Any

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.inspect import status
from netplan_tproxy.kernel.host.netns import netns_cookie
from netplan_tproxy.kinds import all_kinds
from netplan_tproxy.paths import DEFAULT_STATE
from netplan_tproxy.state.state import State
from tests.datapath import support
from tests.lab.host import Host


def listening(host: Host, where: tuple[str, int] = support.PROXY) -> socket.socket:
    on = support.Applied.__new__(support.Applied)
    on.lab = host.lab
    return support.listener(on, where)


def read(host: Host, before: status.Counted | None = None) -> dict[str, Any]:
    kinds = all_kinds()
    with host.namespace.entered(), Kernel() as kernel:
        state = State(DEFAULT_STATE, netns_cookie(), kinds)
        begin = before or status.count(kernel)
        return status.report(kernel, kinds, state, begin, None)


def counted(host: Host) -> status.Counted:
    with host.namespace.entered(), Kernel() as kernel:
        return status.count(kernel)
