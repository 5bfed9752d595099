"""What waits in the queues of a SOCKHASH is lost with the map: let it be read first."""

from __future__ import annotations

import socket
import struct
import time

from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf.libbpf import Fd
from netplan_tproxy.kernel.sockets.diag import sockets

_PATIENCE = 1.0
_INTERVAL = 0.02


def is_read(socks: Fd) -> bool:
    """Whether nothing waits for any of the sockets in the map."""
    info = bpf_maps.map_info(socks)
    cookies = set()
    for key in bpf_maps.keys(socks, info.key_size):
        value = bpf_maps.lookup(socks, key, info.value_size)
        if value is not None:
            cookies.add(struct.unpack("=Q", value)[0])
    if not cookies:
        return True
    return not any(
        found.waiting
        for family in (socket.AF_INET, socket.AF_INET6)
        for found in sockets("tcp", family, *range(1, 12))
        if found.cookie in cookies
    )


def wait_for_readers(socks: Fd) -> bool:
    """Give readers a second; False when something still waits then.

    Nothing may be redirected any more. To be called in the sockets' network namespace.
    """
    deadline = time.monotonic() + _PATIENCE
    while not is_read(socks):
        if time.monotonic() > deadline:
            return False
        time.sleep(_INTERVAL)
    return True
