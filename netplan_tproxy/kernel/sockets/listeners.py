"""Which listening socket the kernel would give a connection to."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from netplan_tproxy.kernel.sockets.diag import CLOSE, LISTEN, Socket, sockets

_MAPPED = "::ffff:"


def all_listeners() -> list[Socket]:
    """Read the listening TCP sockets and the UDP sockets that are bound but not connected."""
    listeners: list[Socket] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        listeners += sockets("tcp", family, LISTEN)
        listeners += sockets("udp", family, CLOSE)
    return listeners


def at(listeners: Sequence[Socket], protocol: str, address: str, port: int) -> list[Socket]:
    """Give the listeners on an address, the one that the kernel chooses first.

    As the kernel looks them up (inet_lookup_listener): the address itself goes before any
    address, and an IPv6 socket takes IPv4 too unless it says otherwise (IPV6_V6ONLY).
    """
    wanted = ipaddress.ip_address(address)
    v4 = wanted.version == 4  # noqa: PLR2004
    ranked = []
    for one in listeners:
        if (one.protocol, one.port) != (protocol, port) or (one.family == socket.AF_INET) > v4:
            continue
        if v4 and one.family == socket.AF_INET6:
            takes = one.local == "::" and not one.v6only
            rank = 2 if takes else 0 if one.local == f"{_MAPPED}{address}" else None
        else:
            local = ipaddress.ip_address(one.local)
            rank = 0 if local == wanted else 1 if local.is_unspecified else None
        if rank is not None:
            ranked.append((rank, one))
    return [one for _, one in sorted(ranked, key=lambda pair: (pair[0], pair[1].inode))]
