"""Whether somebody changes a list of the kernel's while it is read (rtnetlink(7), groups)."""

from __future__ import annotations

import socket

from netplan_tproxy.system.closing import Closing

_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
# RTM_GET… → the groups in which changes of that list are told (RTNLGRP_… of linux/rtnetlink.h):
# links, addresses, routes, neighbours, rules, qdiscs, filters.
_GROUPS = {18: (1,), 22: (5, 9), 26: (7, 11), 30: (3,), 34: (8, 19), 38: (4,), 46: (4,)}


class Watch(Closing):
    """A socket that is told of each change from its opening on."""

    def __init__(self, kind: int) -> None:
        """Watch the list that a request of ``kind`` (RTM_GET…) reads. Raises OSError."""
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        try:
            self._socket.setblocking(False)  # noqa: FBT003 - the standard library's own
            # A socket without a port number is told of nothing.
            self._socket.bind((0, 0))
            for group in _GROUPS[kind]:
                self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """Close the socket; twice is fine."""
        self._socket.close()

    def changed(self) -> bool:
        """Whether a change was told; more than the buffer holds (ENOBUFS) is one too."""
        try:
            self._socket.recv(1)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True
