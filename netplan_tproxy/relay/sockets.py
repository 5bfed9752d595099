"""The socket options that make a relay transparent, and only they."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING

from netplan_tproxy.relay.options import RelayError

if TYPE_CHECKING:
    from netplan_tproxy.relay.options import Endpoint

_IP_TRANSPARENT = 19  # <linux/in.h>; Python's socket module lacks both
_IPV6_TRANSPARENT = 75  # <linux/in6.h>
_BACKLOG = 4096


def listener(where: Endpoint) -> socket.socket:
    """Open a non-blocking TCP listener that accepts connections to any address."""
    made = socket.socket(where.family, socket.SOCK_STREAM)
    try:
        made.settimeout(0)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        make_transparent(made, where)
        made.bind((where.address, where.port))
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        reason = (error.strerror or str(error)).lower()
        raise RelayError(f"cannot listen on {where}: {reason}") from None
    except RelayError:
        made.close()
        raise
    return made


def make_transparent(made: socket.socket, where: Endpoint) -> None:
    """Let it have any address of this family as its own."""
    try:
        if where.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
        else:
            made.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
    except PermissionError:
        raise RelayError(
            f"cannot listen on {where}: a transparent socket needs CAP_NET_ADMIN"
        ) from None


def upstream(family: socket.AddressFamily, mark: int) -> socket.socket:
    """Make a non-blocking TCP socket whose packets carry ``mark``."""
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.settimeout(0)
        if mark:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        tune(made)
    except OSError:
        made.close()
        raise
    return made


def check_mark(mark: int) -> None:
    """Fail at the start rather than at the first connection."""
    try:
        upstream(socket.AF_INET, mark).close()
    except PermissionError:
        raise RelayError(f"cannot set mark {mark:#x}: needs CAP_NET_ADMIN") from None


def tune(made: socket.socket) -> None:
    """Pass small writes on at once, and notice peers that vanished."""
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)


def start_connecting(made: socket.socket, where: Endpoint) -> bool:
    """Send the SYN; True if the connection is there already."""
    number = made.connect_ex((where.address, where.port))
    if number not in {0, errno.EINPROGRESS}:
        raise OSError(number, os.strerror(number))
    return number == 0


def reset(made: socket.socket) -> None:
    """Close with an RST, so that the peer doesn't take it for a clean end."""
    if made.fileno() >= 0:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        made.close()


def is_local(where: Endpoint) -> bool:
    """Whether the address is one of this host's own: only those can be bound."""
    with socket.socket(where.family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((where.address, 0))
        except OSError:
            return False
    return True
