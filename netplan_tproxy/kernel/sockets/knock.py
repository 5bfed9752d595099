"""A knock: one packet to an address, and whether somebody on this host answers it.

- TCP: a SYN, to whoever listens. The near end drops every answer but a reset (a socket filter),
  so that the handshake stays half open: the listener's kernel answers, and the program that
  listens never hears of it. What its kernel holds is ended at once, or, where the kernel does
  not do that for others, when it answers again, a second later: a reset says that nobody is there.
- UDP: a datagram to a far end of our own, at the target's address (IP_TRANSPARENT) and
  connected to the near end, so that no listener sees it.

That takes CAP_NET_ADMIN. No router passes a knock on, this host no more than the next one.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from netplan_tproxy.kernel.sockets.abort import abort
from netplan_tproxy.kernel.sockets.diag import sockets
from netplan_tproxy.kernel.sockets.options import (
    RESETS_ALONE,
    attach_filter,
    drops,
    make_transparent,
)
from netplan_tproxy.system.closing import Closing

_HOPS = 1  # RFC 1122, 3.2.1.7
_PAUSE = 0.002
_SYN_RECV = 3
_HOP_LIMIT = {
    socket.AF_INET: (socket.IPPROTO_IP, socket.IP_TTL),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS),
}
_UNDER_WAY = frozenset({0, errno.EINPROGRESS})


@dataclass(frozen=True)
class Heard:
    """Whether the packet ``arrived`` at its far end, and one back at the near end.

    ``refused``: the errno that the near end got instead; 0: none.
    """

    arrived: bool = False
    answered: bool = False
    refused: int = 0


class Knock(Closing):
    """The sockets for one; close it, or use ``with``.

    ``device``: the near end is bound to it. ``uid``: the user that the near end counts as.
    Raises OSError where there is no way to the target, or the kernel refuses a socket.
    """

    def __init__(
        self, protocol: str, target: tuple[str, int], device: str = "", uid: int | None = None
    ) -> None:
        self._target = target
        self._family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        self._kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        self._held = contextlib.ExitStack()
        try:
            with _as_user(uid):
                self.near = self._opened(self._kind, device)
            self.near.bind((self._own_address(device), 0))
            self.source: tuple[str, int] = self.near.getsockname()[:2]
            self.near.setsockopt(*_HOP_LIMIT[self._family], _HOPS)
            self._far = self._far_end()
        except BaseException:
            self.close()
            raise

    def heard(self, seconds: float) -> Heard:
        """Send the packet, and wait for an answer, for so long at most.

        Raises KernelError.
        """
        deadline = time.monotonic() + seconds
        refused = self._sent()
        arrived = answered = False
        while not (answered or refused):
            arrived = arrived or self._taken()
            answered, refused = self._back()
            if time.monotonic() > deadline:
                break
            time.sleep(_PAUSE)
        arrived = arrived or self._ended() or answered
        return Heard(arrived, answered, refused)

    def close(self) -> None:
        """Close the sockets."""
        self._held.close()

    def _sent(self) -> int:
        """Return the errno with which that is refused at once; 0: it is not."""
        try:
            refused = self.near.connect_ex(self._target)
            if refused in _UNDER_WAY and self._far is not None:
                self.near.send(b"?")
        except OSError as refusal:
            return refusal.errno or errno.EIO
        return 0 if refused in _UNDER_WAY else refused

    def _taken(self) -> bool:
        """Whether a datagram has come; it is answered then."""
        if self._far is None:
            return False
        with contextlib.suppress(OSError):
            self._far.recv(16)
            self._far.send(b"!")
            return True
        return False

    def _back(self) -> tuple[bool, int]:
        """Whether an answer has come to the near end, and the errno that came in its place."""
        if self._far is None:
            refused = self.near.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            return bool(drops(self.near)) and not refused, refused
        try:
            return bool(self.near.recv(16)), 0
        except BlockingIOError:
            return False, 0
        except OSError as refusal:
            return False, refusal.errno or errno.EIO

    def _ended(self) -> bool:
        """End what a listener holds of the SYN; False: nothing, or it is in a SYN cookie."""
        ends = self._target, self.source
        held = [
            one
            for one in (sockets("tcp", self._family, _SYN_RECV) if self._far is None else ())
            if ((one.local, one.port), (one.remote, one.remote_port)) == ends
        ]
        for one in held:
            abort(one)
        return bool(held)

    def _far_end(self) -> socket.socket | None:
        if self._kind == socket.SOCK_STREAM:
            attach_filter(self.near, RESETS_ALONE)
            return None
        far = self._opened(self._kind, "")
        make_transparent(far)
        far.bind(self._target)
        far.connect(self.source)
        return far

    def _own_address(self, device: str) -> str:
        """Ask for the address that the kernel gives a socket on the way to the target."""
        with self._opened(socket.SOCK_DGRAM, device) as asking:
            asking.connect(self._target)
            return str(asking.getsockname()[0])

    def _opened(self, kind: int, device: str) -> socket.socket:
        end = self._held.enter_context(socket.socket(self._family, kind))
        end.settimeout(0)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if device:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        return end


@contextlib.contextmanager
def _as_user(uid: int | None) -> Iterator[None]:
    """Make sockets that count as another user's: of this thread alone (setfsuid(2))."""
    if uid is None or uid == os.geteuid():
        yield
        return
    library = ctypes.CDLL(None)
    before = library.setfsuid(ctypes.c_uint32(uid))
    try:
        yield
    finally:
        library.setfsuid(ctypes.c_uint32(before))
