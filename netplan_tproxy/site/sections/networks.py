"""Networks of both families, and the fewest prefixes that hold them.

The prefixes are of one address space: IPv4 is at ::ffff:0:0/96 (RFC 4291, 2.5.5.2). Plain
integers, as ``ipaddress`` takes ten times as long for a list of 100 000.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, NamedTuple

from netplan_tproxy.site.model import AF_INET, AF_INET6
from netplan_tproxy.system.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netplan_tproxy.site.model import Prefix

_V6_BITS = 128
_MAPPED = 0xFFFF << 32
_BITS = {AF_INET: 32, AF_INET6: _V6_BITS}
_LONGEST_LENGTH = 3  # digits


class Network(NamedTuple):
    """``length`` leading bits of ``first``, an address as a number."""

    family: int
    first: int
    length: int

    @property
    def last(self) -> int:
        """The network's last address."""
        return self.first | (1 << _BITS[self.family] - self.length) - 1

    def __str__(self) -> str:
        """Return the canonical CIDR."""
        return f"{written(self.family, self.first)}/{self.length}"


class UnfitNetworkError(ValueError):
    """What is wrong with a text that should be a network: the end of a message.

    ``kind`` says the same without a word of that text.
    """

    def __init__(self, text: str, message: str, kind: str) -> None:
        """Take the text, what is wrong with it, and the same without a word of it."""
        super().__init__(f"{shown(text)} {message}")
        self.kind = kind


def parse_network(text: str) -> Network:
    """Return the network, or the single address, in ``text``. Raises UnfitNetworkError."""
    address, slash, digits = text.partition("/")
    family = AF_INET6 if ":" in address else AF_INET
    bits = _BITS[family]
    try:
        first = parse_address(family, address)
        length = _length(digits) if slash else bits
        fits = length <= bits
    except ValueError:
        fits = False
    if not fits:
        kind = "is not a network such as 10.0.0.0/8 or 2001:db8::/32"
        raise UnfitNetworkError(text, kind, kind)
    host = first & (1 << bits - length) - 1
    if host:
        right = Network(family, first ^ host, length), Network(family, first, bits)
        message = f"has host bits set, expected {right[0]} or {right[1]}"
        kind = "has host bits set, expected the network's first address or a single address"
        raise UnfitNetworkError(text, message, kind)
    if family == AF_INET6 and is_mapped(first):
        ipv4 = Network(AF_INET, first - _MAPPED, length - 96)
        message = f"is IPv4 written as IPv6, expected {ipv4}"
        raise UnfitNetworkError(text, message, "is IPv4 written as IPv6, expected IPv4")
    return Network(family, first, length)


def parse_address(family: int, text: str) -> int:
    """Return an address as a number. Raises ValueError without a message."""
    # Stricter than inet_aton(3): four decimal parts, no octal, no zone.
    try:
        return int.from_bytes(socket.inet_pton(family, text), "big")
    except OSError:
        raise ValueError from None


def written(family: int, address: int) -> str:
    """Return an address in its canonical form (RFC 5952)."""
    # inet_ntop(3) of glibc writes ::1:0 as ::0.1.0.0.
    if family == AF_INET6:
        return str(ipaddress.IPv6Address(address))
    return str(ipaddress.IPv4Address(address))


def is_mapped(address: int) -> bool:
    """Return whether an IPv6 address stands for an IPv4 one."""
    return address >> 32 == _MAPPED >> 32


def family_of(prefix: Prefix) -> int:
    """Return the address family of a prefix that ``prefixes`` made."""
    length, address = prefix
    return AF_INET if length >= _V6_BITS - 32 and is_mapped(int.from_bytes(address)) else AF_INET6


def prefixes(networks: Iterable[Network]) -> tuple[Prefix, ...]:
    """Return the fewest prefixes, ascending, that hold what the networks of each family hold.

    An IPv6 network holds no IPv4 address: ``::/0`` is everything but ::ffff:0:0/96.
    """
    v4: list[tuple[int, int]] = []
    v6: list[tuple[int, int]] = []
    for network in networks:
        if network.family == AF_INET:
            v4.append((_MAPPED + network.first, _MAPPED + network.last))
        else:
            v6.append((network.first, network.last))
    ranges = sorted([*_merged(v4), *_without_mapped(_merged(v6))])
    return tuple(prefix for first, last in ranges for prefix in _split(first, last))


def _merged(ranges: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    ranges.sort()
    if not ranges:
        return
    start, end = ranges[0]
    for first, last in ranges:
        if first <= end + 1:
            end = max(end, last)
        else:
            yield start, end
            start, end = first, last
    yield start, end


def _without_mapped(ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    below, above = _MAPPED - 1, _MAPPED + (1 << 32)
    for first, last in ranges:
        for part in ((first, min(last, below)), (max(first, above), last)):
            if part[0] <= part[1]:
                yield part


def _split(first: int, last: int) -> Iterator[Prefix]:
    while first <= last:
        aligned = first & -first or 1 << _V6_BITS
        size = min(aligned, 1 << (last - first + 1).bit_length() - 1)
        yield _V6_BITS - (size.bit_length() - 1), first.to_bytes(16, "big")
        first += size


def _length(digits: str) -> int:
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= _LONGEST_LENGTH):
        raise ValueError
    return int(digits)
