"""Where the doctor's packets go: to addresses of documentation, if the site file takes those.

Else to what it names: nothing gets there, as it is intercepted or has one hop. Pure.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from netplan_tproxy.site.model import Policy

_DOCUMENTATION = {4: ("192.0.2.1", "198.51.100.1", "203.0.113.1"), 6: ("2001:db8::1",)}
_PORTS = (80, 443, 53)
_MOST = 8  # networks, and ports, of the site file


def addresses(policy: Policy, version: int) -> Iterator[str]:
    """Give addresses of an IP version, those of documentation first (RFC 5737, RFC 3849)."""
    yield from _DOCUMENTATION[version]
    for _, packed in (policy.intercept_to or ())[:_MOST]:
        address = ipaddress.IPv6Address(packed)
        plain = address.ipv4_mapped or address
        if plain.version == version:
            yield str(plain)


def ports(policy: Policy) -> list[int]:
    """Give ports, and those that the site file names."""
    return [*_PORTS, *(first for first, _ in (policy.intercept_ports or ())[:_MOST])]


def candidates(policy: Policy, version: int) -> Iterator[tuple[str, int]]:
    """Give each address with each port."""
    for address in addresses(policy, version):
        for port in ports(policy):
            yield address, port
