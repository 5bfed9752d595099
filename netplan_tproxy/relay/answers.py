"""The sockets that answer clients in the name of the destinations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netplan_tproxy.relay import udpsockets

if TYPE_CHECKING:
    import socket

    from netplan_tproxy.relay.options import Endpoint


class Answers:
    """One socket for each destination, open as long as somebody holds it."""

    def __init__(self, mark: int) -> None:
        self._mark = mark
        self._open: dict[Endpoint, socket.socket] = {}
        self._holders: dict[Endpoint, int] = {}

    def __len__(self) -> int:
        return len(self._open)

    def hold(self, target: Endpoint) -> socket.socket:
        """The socket bound to ``target``; give it back with ``release``."""
        made = self._open.get(target)
        if made is None:
            made = self._open[target] = udpsockets.answering(target, self._mark)
        self._holders[target] = self._holders.get(target, 0) + 1
        return made

    def release(self, target: Endpoint) -> None:
        """Undo one ``hold``; the last one closes the socket."""
        self._holders[target] -= 1
        if not self._holders[target]:
            del self._holders[target]
            self._open.pop(target).close()
