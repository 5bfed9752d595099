"""Who would be given an intercepted connection: the socket that the programs find."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from netplan_tproxy.kernel.sockets.diag import CLOSE, LISTEN, Socket, sockets

_MAPPED = "::ffff:"


def all_listeners() -> list[Socket]:
    """Read the listening TCP sockets and the UDP sockets that are bound but not connected."""
    found: list[Socket] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        found += sockets("tcp", family, LISTEN)
        found += sockets("udp", family, CLOSE)
    return found


def at(listeners: Sequence[Socket], protocol: str, address: str, port: int) -> list[Socket]:
    """Give those that receive what is sent to an address, the most specific first.

    As the kernel looks them up (inet_lookup_listener): the address itself goes before any
    address, and an IPv6 socket takes IPv4 too unless it says otherwise (IPV6_V6ONLY).
    """
    wanted = ipaddress.ip_address(address)
    v4 = wanted.version == 4  # noqa: PLR2004
    found = []
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
            found.append((rank, one))
    return [one for _, one in sorted(found, key=lambda pair: (pair[0], pair[1].inode))]
