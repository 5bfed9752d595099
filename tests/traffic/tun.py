"""Two tun devices in two namespaces, joined by a thread that sees all that passes."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import threading
from types import TracebackType
from typing import Self

from tests.lab import Namespace, Packet
from tests.lab.packets import parse
from tests.lab.patience import PATIENCE

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
_NO_ETHERNET = {4: bytes(12) + b"\x08\x00", 6: bytes(12) + b"\x86\xdd"}


def open_tun(namespace: Namespace, name: str) -> int:
    """Make a tun device; it lives as long as the descriptor."""
    with namespace.entered():
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


class Cable:
    """``one`` and ``two`` are (namespace, device); ``packets`` is what left ``one``."""

    def __init__(self, one: tuple[Namespace, str], two: tuple[Namespace, str]) -> None:
        self._fds = (open_tun(*one), open_tun(*two))
        self._out: list[Packet] = []
        self._wake = os.eventfd(0)
        self._thread = threading.Thread(target=self._carry, name="cable", daemon=True)

    def _carry(self) -> None:
        one, two = self._fds
        while True:
            ready, _, _ = select.select([one, two, self._wake], [], [])
            if self._wake in ready:
                return
            for source, target in ((one, two), (two, one)):
                if source in ready:
                    self._move(source, target)

    def _move(self, source: int, target: int) -> None:
        for _ in range(256):
            try:
                packet = os.read(source, 65536)
            except OSError:  # nothing more, or the device is not up yet
                return
            if source == self._fds[0]:
                found = parse(_NO_ETHERNET[packet[0] >> 4] + packet, arrived=False)
                if found is not None and not found.dst.startswith("ff02:"):
                    self._out.append(found)
            try:
                os.write(target, packet)
            except OSError:  # down, or full: a wire loses packets
                continue

    def take(self) -> list[Packet]:
        """What has left ``one`` since the last time."""
        found = list(self._out)
        del self._out[: len(found)]
        return found

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.eventfd_write(self._wake, 1)
        self._thread.join(PATIENCE)
        for fd in (*self._fds, self._wake):
            os.close(fd)
