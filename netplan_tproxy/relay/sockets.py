"""The TCP sockets of a transparent relay."""

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
    sock = socket.socket(where.family, socket.SOCK_STREAM)
    try:
        sock.settimeout(0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        make_transparent(sock, where)
        sock.bind((where.address, where.port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        reason = (error.strerror or str(error)).lower()
        raise RelayError(f"cannot listen on {where}: {reason}") from None
    except RelayError:
        sock.close()
        raise
    return sock


def make_transparent(sock: socket.socket, where: Endpoint) -> None:
    """Let a socket use any address of its family. Raises RelayError, OSError."""
    try:
        if where.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
    except PermissionError:
        raise RelayError(
            f"cannot listen on {where}: a transparent socket needs CAP_NET_ADMIN"
        ) from None


def upstream(family: socket.AddressFamily, mark: int) -> socket.socket:
    """Make a non-blocking TCP socket whose packets carry ``mark``."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(0)
        if mark:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        tune(sock)
    except OSError:
        sock.close()
        raise
    return sock


def check_mark(mark: int) -> None:
    """Raise RelayError if this process may not set ``mark``."""
    try:
        upstream(socket.AF_INET, mark).close()
    except PermissionError:
        raise RelayError(f"cannot set mark {mark:#x}: needs CAP_NET_ADMIN") from None


def tune(sock: socket.socket) -> None:
    """Disable Nagle's algorithm, and enable keepalive."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)


def start_connecting(sock: socket.socket, where: Endpoint) -> bool:
    """Start to connect; return whether the connection is established already."""
    number = sock.connect_ex((where.address, where.port))
    if number not in {0, errno.EINPROGRESS}:
        raise OSError(number, os.strerror(number))
    return number == 0


def reset(sock: socket.socket) -> None:
    """Close with an RST: the peer must not take it for the end of the stream."""
    if sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()


def is_local(where: Endpoint) -> bool:
    """Whether the address is one of this host: only those can be bound."""
    with socket.socket(where.family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((where.address, 0))
        except OSError:
            return False
    return True
