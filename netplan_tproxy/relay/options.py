"""What the command line says, as frozen values."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import Any

_MOST_MARK = 0xFFFFFFFF
_MOST_PORT = 65535


class RelayError(Exception):
    """The relay cannot run; the message is one finished line."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and a port; ``str()`` is ``1.2.3.4:80`` or ``[::1]:80``."""

    address: str
    port: int

    @property
    def family(self) -> socket.AddressFamily:
        """AF_INET or AF_INET6."""
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for every address of the host."""
        return ipaddress.ip_address(self.address).is_unspecified

    @property
    def is_one_host(self) -> bool:
        """Whether it can be a single host beyond this one."""
        address = ipaddress.ip_address(self.address)
        here = address.is_loopback or address.is_unspecified
        # A link-local address is not enough to say which link.
        unclear = address.version == 6 and address.is_link_local  # noqa: PLR2004 - IP version 6
        return not (here or unclear or address.is_multicast)

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"

    @classmethod
    def of(cls, name: Any) -> Endpoint:
        """Convert what ``getsockname`` and ``getpeername`` return."""
        return cls(str(name[0]), int(name[1]))


@dataclass(frozen=True, slots=True)
class Options:
    """One run of the relay."""

    listen: tuple[Endpoint, ...] = ()
    mark: int = 0x2
    max_connections: int = 4096
    connect_timeout: float = 10.0
    drain_seconds: float = 10.0
    udp_max: int = 4096
    udp_idle: float = 60.0
    verbose: bool = False


def parse_endpoint(text: str) -> Endpoint:
    """Read ``ADDRESS:PORT`` or ``[ADDRESS]:PORT``; raise ValueError with the reason."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit():
        raise ValueError(f"{text}: expected ADDRESS:PORT, such as 127.0.0.1:9040")
    if int(port) > _MOST_PORT:
        raise ValueError(f"{text}: a port is at most {_MOST_PORT}")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        raise ValueError(f"{text}: {host or 'nothing'} is not an IP address") from None
    if bracketed != (address.version == 6):  # noqa: PLR2004 - IP version 6
        raise ValueError(f"{text}: brackets belong around IPv6 addresses, and only there")
    return Endpoint(str(address), int(port))


def parse_mark(text: str) -> int:
    """Read a firewall mark, decimal or 0x…; 0 means none."""
    try:
        mark = int(text, 0)
    except ValueError:
        raise ValueError(f"{text}: expected a number, such as 0x2") from None
    if not 0 <= mark <= _MOST_MARK:
        raise ValueError(f"{text}: a mark has 32 bits")
    return mark
