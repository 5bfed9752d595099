"""Whether networks lie within others, of both families in one address space."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from netplan_tproxy.site.model import AF_INET, AF_INET6
from netplan_tproxy.site.sections.networks import Network, family_of, prefixes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netplan_tproxy.site.model import Prefix

_BITS = 128
EVERY_ADDRESS = {family: prefixes([Network(family, 0, 0)]) for family in (AF_INET, AF_INET6)}


class AddressSet:
    """The addresses in some prefixes, in any order."""

    def __init__(self, members: Iterable[Prefix]) -> None:
        """Take the prefixes."""
        self._first: list[int] = []
        self._last: list[int] = []
        for first, last in sorted(map(_range, members)):
            if self._last and first <= self._last[-1] + 1:
                self._last[-1] = max(self._last[-1], last)
            else:
                self._first.append(first)
                self._last.append(last)

    def holds(self, prefix: Prefix) -> bool:
        """Return whether every address of ``prefix`` is in the set."""
        first, last = _range(prefix)
        index = bisect_right(self._first, first) - 1
        return index >= 0 and last <= self._last[index]

    def holds_all(self, prefixes: Iterable[Prefix]) -> bool:
        """Return whether every address of the prefixes is in the set."""
        return all(map(self.holds, prefixes))


def of_family(prefixes: Iterable[Prefix] | None, family: int) -> tuple[Prefix, ...]:
    """Return the prefixes of one family; None stands for every address."""
    if prefixes is None:
        return EVERY_ADDRESS[family]
    return tuple(prefix for prefix in prefixes if family_of(prefix) == family)


def _range(prefix: Prefix) -> tuple[int, int]:
    length, address = prefix
    first = int.from_bytes(address, "big")
    return first, first | (1 << _BITS - length) - 1
