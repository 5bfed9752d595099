"""The UDP sockets of a transparent relay."""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
from dataclasses import dataclass
from typing import Any

from netplan_tproxy.relay import sockets
from netplan_tproxy.relay.options import Endpoint, RelayError

_IP_RECVORIGDSTADDR = 20  # <linux/in.h>; each is also the type of the message it asks for
_IPV6_RECVORIGDSTADDR = 74  # <linux/in6.h>
_SO_ATTACH_FILTER = 26  # <asm-generic/socket.h>
_SO_RCVBUFFORCE = 33
_ROOM = socket.CMSG_SPACE(28)  # a sockaddr_in6
_LISTENER_BUFFER = 4 << 20
_NEXT_TO_NOTHING = 4096
MOST = 65535  # bytes; no datagram has more


@dataclass(frozen=True, slots=True)
class Arrival:
    """One datagram at a listener; ``client`` is what ``sendto`` takes to answer."""

    size: int
    client: tuple[Any, ...]
    source: Endpoint
    target: Endpoint


def listener(where: Endpoint) -> socket.socket:
    """Open a socket that receives datagrams to any address, with their destination."""
    # No SO_REUSEADDR: with it, a second relay could silently take the datagrams of the first.
    sock = socket.socket(where.family, socket.SOCK_DGRAM)
    try:
        sock.settimeout(0)
        sockets.make_transparent(sock, where)
        if where.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVORIGDSTADDR, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVORIGDSTADDR, 1)
        with contextlib.suppress(PermissionError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _LISTENER_BUFFER)
        sock.bind((where.address, where.port))
    except OSError as error:
        sock.close()
        reason = (error.strerror or str(error)).lower()
        raise RelayError(f"cannot listen on udp {where}: {reason}") from None
    except RelayError:
        sock.close()
        raise
    return sock


def receive(sock: socket.socket, buffer: bytearray) -> Arrival | None:
    """Receive one datagram; None if the kernel gave no destination."""
    size, messages, _, client = sock.recvmsg_into([buffer], _ROOM)
    for level, kind, data in messages:
        target = _original(level, kind, data)
        if target is not None:
            return Arrival(size, client, Endpoint.of(client), target)
    return None


def _original(level: int, kind: int, data: bytes) -> Endpoint | None:
    """Read a sockaddr_in or sockaddr_in6: family, port, (flow,) address."""
    if (level, kind) == (socket.IPPROTO_IP, _IP_RECVORIGDSTADDR):
        (port,) = struct.unpack_from("!H", data, 2)
        return Endpoint(socket.inet_ntop(socket.AF_INET, data[4:8]), port)
    if (level, kind) == (socket.IPPROTO_IPV6, _IPV6_RECVORIGDSTADDR):
        (port,) = struct.unpack_from("!H", data, 2)
        return Endpoint(socket.inet_ntop(socket.AF_INET6, data[8:24]), port)
    return None


def upstream(target: Endpoint, mark: int) -> socket.socket:
    """Return a socket connected to the target, whose packets carry ``mark``."""
    sock = socket.socket(target.family, socket.SOCK_DGRAM)
    try:
        sock.settimeout(0)
        _mark(sock, mark)
        sock.connect((target.address, target.port))
    except OSError:
        sock.close()
        raise
    return sock


def answering(target: Endpoint, mark: int) -> socket.socket:
    """Return a socket that sends from the target's address, and receives nothing.

    Raises OSError if a socket of this host has that port on every address and does not share it.
    """
    sock = socket.socket(target.family, socket.SOCK_DGRAM)
    try:
        sock.settimeout(0)
        _receive_nothing(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sockets.make_transparent(sock, target)
        _mark(sock, mark)
        sock.bind((target.address, target.port))
    except OSError as error:
        sock.close()
        reason = (error.strerror or str(error)).lower()
        raise OSError(error.errno, f"cannot answer in its name: {reason}") from None
    return sock


def _mark(sock: socket.socket, mark: int) -> None:
    if mark:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)


def _receive_nothing(sock: socket.socket) -> None:
    # One instruction, "return 0": every datagram is dropped, since nobody reads them.
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    head = struct.pack("HP", 1, ctypes.addressof(program))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _NEXT_TO_NOTHING)
