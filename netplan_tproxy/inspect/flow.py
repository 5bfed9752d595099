"""A connection to ask about (``--explain``). Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

_PORTS = 65536


@dataclass(frozen=True)
class Question:
    """A connection to ask about; ``device`` is where it leaves or comes in. "" stands for any."""

    target: str
    port: int
    protocol: str = "tcp"
    device: str = ""
    source: str = ""
    user: str = ""
    cgroup: str = ""
    mark: int = 0


def as_sent(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address that packets have: IPv4 for ``::ffff:1.1.1.1`` (RFC 4291, 2.5.5.2)."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def parse_target(text: str) -> tuple[str, int]:
    """Read ``1.1.1.1:443`` or ``[2606:4700::1111]:443``. Raises ValueError with a message.

    An IPv4 address written as IPv6 is the IPv4 address: packets to it are IPv4, whatever the
    family of the socket.
    """
    message = f"'{text}' is not an address and port such as 1.1.1.1:443 or [2606:4700::1111]:443"
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not (port.isascii() and port.isdecimal()) or not 0 < int(port) < _PORTS:
        raise ValueError(message)
    try:
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        raise ValueError(message) from None
    if (address.version == 6) != bracketed or getattr(address, "scope_id", None):  # noqa: PLR2004
        raise ValueError(message)
    return str(as_sent(address)), int(port)
