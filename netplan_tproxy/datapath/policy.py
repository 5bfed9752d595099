"""The policy of a site file as sets of prefixes for the programs. Pure.

Every dimension (networks, ports, users, cgroups) is a set of bit prefixes in one kind of
map. A set is named by its content: a changed set is another set, filled aside, and the
config that names it is replaced in one step, so no packet sees half of a change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from netplan_tproxy.datapath.layouts import SetIds
from netplan_tproxy.site.model import Site

Prefix = tuple[int, bytes]
_ADDRESS_BYTES = 16
_PORT_BITS = 16


@dataclass(frozen=True)
class PolicySet:
    """One set; ``what`` says in the file's own terms what it is for."""

    id: int
    what: str
    prefixes: tuple[Prefix, ...]


@dataclass(frozen=True)
class CompiledPolicy:
    """The sets that exist, and which dimension each one serves."""

    ids: SetIds
    sets: tuple[PolicySet, ...]
    fast_ports: int = 0


def compile_policy(
    site: Site, users: Mapping[str, int], cgroups: Mapping[str, int]
) -> CompiledPolicy:
    """Give the sets of a site's policy; ``users`` and ``cgroups`` resolve its names."""
    policy = site.policy
    uids = [users[name] for name in policy.bypass_users]
    groups = [cgroups[path] for path in policy.bypass_cgroups]
    dimensions: list[tuple[str, Sequence[Prefix] | None]] = [
        ("intercept.from", policy.intercept_from),
        ("intercept.to", policy.intercept_to),
        ("intercept.ports", _named(policy.intercept_ports)),
        ("bypass.from", policy.bypass_from or None),
        ("bypass.to", policy.bypass_to or None),
        ("bypass.ports", _named(policy.bypass_ports or None)),
        ("bypass.users", _exact(uids, 32)),
        ("bypass.cgroups", _exact(groups, 64)),
        ("fastpath.ports", _named(site.fastpath.ports) if site.fastpath.enabled else None),
    ]
    sets: dict[int, PolicySet] = {}
    ids = []
    for what, prefixes in dimensions:
        if prefixes is None:
            ids.append(0)
            continue
        one = make_set(what, prefixes)
        sets.setdefault(one.id, one)
        ids.append(one.id)
    *ids, fast_ports = ids
    return CompiledPolicy(SetIds(*ids), tuple(sets.values()), fast_ports)


def make_set(what: str, prefixes: Iterable[Prefix]) -> PolicySet:
    """Name a set by its content; equal contents are one set."""
    content = tuple(
        sorted((length, bits.ljust(_ADDRESS_BYTES, b"\0")) for length, bits in prefixes)
    )
    packed = b"".join(length.to_bytes(4, "big") + bits for length, bits in content)
    number = int.from_bytes(hashlib.sha256(packed).digest()[:8], "big")
    return PolicySet(number or 1, what, content)


def _named(ports: Iterable[tuple[int, int]] | None) -> list[Prefix] | None:
    if ports is None:
        return None
    return [prefix for low, high in ports for prefix in port_prefixes(low, high)]


def port_prefixes(low: int, high: int) -> list[Prefix]:
    """Cover the ports ``low`` to ``high`` (both included) with as few prefixes as can be."""
    prefixes = []
    while low <= high:
        size = low & -low or 1 << _PORT_BITS
        while low + size - 1 > high:
            size >>= 1
        length = _PORT_BITS - (size.bit_length() - 1)
        prefixes.append((length, low.to_bytes(2, "big")))
        low += size
    return prefixes


def _exact(numbers: Sequence[int], bits: int) -> list[Prefix] | None:
    if not numbers:
        return None
    return [(bits, number.to_bytes(bits // 8, "big")) for number in sorted(set(numbers))]
