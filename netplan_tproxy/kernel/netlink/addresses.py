"""The addresses of this host (rtnetlink(7): RTM_GETADDR), without a library."""

from __future__ import annotations

import ipaddress
import socket
import struct

from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.netlink.answer import HEADER
from netplan_tproxy.kernel.netlink.channel import Channel
from netplan_tproxy.kernel.netlink.request import attributes

_GETADDR = 22
_MESSAGE = struct.Struct("=BBBBI")  # struct ifaddrmsg
_ADDRESS, _LOCAL = 1, 2


def own_addresses() -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Read this host's own addresses, each as a network of its own. Raises KernelError."""
    channel = Channel()
    try:
        reading = channel.dump(_GETADDR, _MESSAGE.pack(socket.AF_UNSPEC, 0, 0, 0, 0))
    except OSError as refusal:
        words = f"read addresses: {refusal.strerror or refusal}"
        raise KernelError(words, refusal.errno or 0) from refusal
    finally:
        channel.close()
    own = []
    for message in reading.messages:
        values = dict(attributes(message, HEADER.size + _MESSAGE.size))
        # Of a point-to-point device the address is the peer's.
        address = values.get(_LOCAL, values.get(_ADDRESS))
        if address is not None:
            own.append(ipaddress.ip_network(address))
    return own
