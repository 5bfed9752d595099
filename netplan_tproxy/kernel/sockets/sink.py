"""A socket of this process at any address, which takes one flow and says nothing.

UDP: it is bound to the foreign address (IP_TRANSPARENT) and connected. TCP: TCP_REPAIR makes it
established without a packet, its filter drops all that comes, and the drops are counted. Closing
it tells nobody. Takes CAP_NET_ADMIN.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from netplan_tproxy.kernel.sockets.options import (
    NOTHING,
    attach_filter,
    drops,
    make_transparent,
)

_TCP_REPAIR = 19
End = tuple[str, int]


class Sink:
    """The socket; ``sink`` opens one."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def has_something(self) -> bool:
        """Whether a packet has come."""
        if self._end.type == socket.SOCK_STREAM:
            return bool(drops(self._end))
        with contextlib.suppress(OSError):
            return bool(self._end.recv(16))
        return False


@contextlib.contextmanager
def sink(protocol: str, local: End, remote: End) -> Iterator[Sink]:
    """Take what ``remote`` sends to ``local``. Raises OSError."""
    family = socket.AF_INET6 if ":" in local[0] else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family, kind) as end:
        end.settimeout(0)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        make_transparent(end)
        if protocol == "tcp":
            attach_filter(end, NOTHING)
            end.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
        end.bind(local)
        end.connect(remote)
        yield Sink(end)
