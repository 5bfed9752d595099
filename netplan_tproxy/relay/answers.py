"""The sockets that answer clients from the addresses of the destinations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netplan_tproxy.relay import udpsockets

if TYPE_CHECKING:
    import socket

    from netplan_tproxy.relay.options import Endpoint


class Answers:
    """One socket for each destination, counted: it is open as long as somebody holds it."""

    def __init__(self, mark: int) -> None:
        self._mark = mark
        self._open: dict[Endpoint, socket.socket] = {}
        self._holders: dict[Endpoint, int] = {}

    def __len__(self) -> int:
        return len(self._open)

    def hold(self, target: Endpoint) -> socket.socket:
        """Return the socket bound to ``target``; each ``hold`` needs a ``release``."""
        sock = self._open.get(target)
        if sock is None:
            sock = self._open[target] = udpsockets.answering(target, self._mark)
        self._holders[target] = self._holders.get(target, 0) + 1
        return sock

    def release(self, target: Endpoint) -> None:
        """Undo one ``hold``; the last one closes the socket."""
        self._holders[target] -= 1
        if not self._holders[target]:
            del self._holders[target]
            self._open.pop(target).close()
