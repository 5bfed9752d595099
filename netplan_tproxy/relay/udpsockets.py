"""The datagram sockets of a transparent relay, and how they are read."""

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
MOST = 65535  # bytes in a datagram, and a few more


@dataclass(frozen=True, slots=True)
class Arrival:
    """One datagram at a listener; ``client`` is what ``sendto`` takes to answer."""

    size: int
    client: tuple[Any, ...]
    source: Endpoint
    target: Endpoint


def listener(where: Endpoint) -> socket.socket:
    """Open a socket that gets datagrams to any address and learns which one."""
    # Without SO_REUSEADDR: a second relay would take the first one's datagrams, unnoticed.
    made = socket.socket(where.family, socket.SOCK_DGRAM)
    try:
        made.settimeout(0)
        sockets.make_transparent(made, where)
        if where.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVORIGDSTADDR, 1)
        else:
            made.setsockopt(socket.IPPROTO_IP, _IP_RECVORIGDSTADDR, 1)
        with contextlib.suppress(PermissionError):
            made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _LISTENER_BUFFER)
        made.bind((where.address, where.port))
    except OSError as error:
        made.close()
        reason = (error.strerror or str(error)).lower()
        raise RelayError(f"cannot listen on udp {where}: {reason}") from None
    except RelayError:
        made.close()
        raise
    return made


def receive(made: socket.socket, buffer: bytearray) -> Arrival | None:
    """Take one datagram; None if the kernel did not say where it was going."""
    size, messages, _, client = made.recvmsg_into([buffer], _ROOM)
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
    """Make a socket that talks with the target only, and whose packets carry ``mark``."""
    made = socket.socket(target.family, socket.SOCK_DGRAM)
    try:
        made.settimeout(0)
        _mark(made, mark)
        made.connect((target.address, target.port))
    except OSError:
        made.close()
        raise
    return made


def answering(target: Endpoint, mark: int) -> socket.socket:
    """Make a socket that sends as if it were the target, and that receives nothing.

    OSError if some socket of this host has that port on every address and shares it with nobody.
    """
    made = socket.socket(target.family, socket.SOCK_DGRAM)
    try:
        made.settimeout(0)
        _receive_nothing(made)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sockets.make_transparent(made, target)
        _mark(made, mark)
        made.bind((target.address, target.port))
    except OSError as error:
        made.close()
        reason = (error.strerror or str(error)).lower()
        raise OSError(error.errno, f"cannot answer in its name: {reason}") from None
    return made


def _mark(made: socket.socket, mark: int) -> None:
    if mark:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)


def _receive_nothing(made: socket.socket) -> None:
    # One instruction, "return 0": what nobody will read shall not be kept.
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    head = struct.pack("HP", 1, ctypes.addressof(program))
    made.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _NEXT_TO_NOTHING)
