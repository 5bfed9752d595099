"""What waits in the queues of a SOCKHASH is lost with the map: let it be read first."""

from __future__ import annotations

import socket
import struct
import time

from netplan_tproxy.datapath.pins import Pins
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf.libbpf import Fd
from netplan_tproxy.kernel.sockets.diag import sockets as tcp_sockets

_FOLDER = "draining"
_PATIENCE = 1.0
_INTERVAL = 0.02


class DrainingMaps:
    """Maps of sockets that nothing is put into any more, kept below ``draining/``."""

    def __init__(self, pins: Pins) -> None:
        self._pins = pins

    def wait_or_keep(self, pin: str, sockets: Fd) -> None:
        """Give readers a second; what they have not read then waits on in a pinned map.

        Nothing may be redirected any more. To be called in the sockets' network namespace.
        Raises KernelError.
        """
        if not _wait_for_readers(sockets):
            self._pins.put(_FOLDER, f"{pin}-{bpf_maps.map_info(sockets).id}", sockets)

    def drop_read(self) -> None:
        """Let go of those in which nothing waits any more. Raises KernelError."""
        read = []
        for pin, sockets in self._pins.each(_FOLDER):
            with sockets:
                if is_read(sockets):
                    read.append(pin)
        for pin in read:
            self._pins.remove(_FOLDER, pin)


def is_read(sockets: Fd) -> bool:
    """Whether nothing waits for any of the sockets in the map. Raises KernelError."""
    info = bpf_maps.map_info(sockets)
    cookies = set()
    for key in bpf_maps.keys(sockets, info.key_size):
        value = bpf_maps.lookup(sockets, key, info.value_size)
        if value is not None:
            cookies.add(struct.unpack("=Q", value)[0])
    if not cookies:
        return True
    return not any(
        one.waiting
        for family in (socket.AF_INET, socket.AF_INET6)
        for one in tcp_sockets("tcp", family, *range(1, 12))
        if one.cookie in cookies
    )


def _wait_for_readers(sockets: Fd) -> bool:
    """Give readers a second; False when something still waits then."""
    deadline = time.monotonic() + _PATIENCE
    while not is_read(sockets):
        if time.monotonic() > deadline:
            return False
        time.sleep(_INTERVAL)
    return True
