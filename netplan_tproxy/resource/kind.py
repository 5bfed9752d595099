"""The contract of a kind of resources.

A kind knows what part of the site file is its own (``desired``), how to read itself
from the kernel (``observe``), how to build aside what can fail without touching
anything (``prepare``) and how to make one change (``make``). It knows no other kind:
order comes from the resources' ``rank``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from netplan_tproxy.datapath.host import Facts, Kernel
from netplan_tproxy.resource.values import Resource
from netplan_tproxy.site.model import Site

R = TypeVar("R", bound=Resource)


class Kind(Generic[R]):
    """What every kind can do. ``make`` is idempotent in both directions."""

    resource: type[R]

    def desired(self, site: Site, facts: Facts) -> Iterable[R]:
        """Give what the site file asks for. Pure."""
        raise NotImplementedError

    def observe(self, kernel: Kernel, scope: Sequence[R]) -> Iterable[R]:
        """Read from the kernel at least what stands at the keys of ``scope``."""
        raise NotImplementedError

    def prepare(self, kernel: Kernel, before: R | None, after: R | None) -> None:
        """Build aside what the change needs, and hold what its undo needs; touch nothing."""

    def make(self, kernel: Kernel, before: R | None, after: R | None) -> None:
        """Bring the kernel from ``before`` to ``after``. Raises KernelError."""
        raise NotImplementedError

    def settled(self, kernel: Kernel, befores: Sequence[R]) -> None:
        """Let go of what no undo needs any more; ``befores`` are what destroy puts back."""


Kinds = Mapping[str, Kind[Any]]


def from_json(kinds: Kinds, values: Mapping[str, Any] | None) -> Resource | None:
    """Read back what ``values.to_json`` wrote. Raises KeyError, TypeError on nonsense."""
    if values is None:
        return None
    fields = dict(values)
    resource: Resource = kinds[fields.pop("kind")].resource(**fields)
    return resource
