"""The contract of a kind of resources.

A kind says what the site file asks of it (``desired``), reads itself from the kernel
(``observe``), builds aside what can fail without touching anything (``prepare``) and makes
one change (``make``). It knows no other kind: order comes from the resources' ``rank``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar, Generic, TypeVar

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.snapshot import Snapshot
from netplan_tproxy.datapath.wanted import Wanted
from netplan_tproxy.errors import KernelError
from netplan_tproxy.resource.values import Resource

R = TypeVar("R", bound=Resource)
# What a change leads from and to.
Ends = tuple[R | None, R | None]


class Kind(Generic[R]):
    """What every kind can do."""

    resource: type[R]

    def desired(self, wanted: Wanted) -> Iterable[R]:
        """Give the resources that the site file asks for. Pure."""
        raise NotImplementedError

    def observe(self, seen: Snapshot, scope: Sequence[R]) -> Iterable[R]:
        """Give what the kernel has at the keys of ``scope``, and all that carries our sign.

        Raises KernelError.
        """
        raise NotImplementedError

    def prepare(self, kernel: Kernel, before: R | None, after: R | None) -> None:
        """Build aside what the change needs, and hold what its undo needs; touch nothing.

        Raises TproxyError.
        """

    def make(self, kernel: Kernel, before: R | None, after: R | None) -> None:
        """Bring the kernel from ``before`` to ``after``; being there already is no error.

        Raises KernelError.
        """
        raise NotImplementedError

    def settled(self, kernel: Kernel, befores: Sequence[R]) -> None:
        """Drop what was kept for an undo that will not come.

        ``befores`` are what a destroy still has to put back. Raises KernelError.
        """


class BatchKind(Kind[R]):
    """A kind that can also make many changes at once, where that is worth it."""

    # How many at most. They are written down as one, so a run that is killed among them
    # leaves as many to look after.
    most: ClassVar[int] = 1000

    def make_many(self, kernel: Kernel, changes: Sequence[Ends[R]]) -> Mapping[int, KernelError]:
        """Make each of the changes as ``make`` does, in their order.

        One that fails keeps none of the others from being made. Gives the failures by the
        number of the change. Raises KernelError where it is not known which were made.
        """
        raise NotImplementedError


Kinds = Mapping[str, Kind[Any]]


def from_json(kinds: Kinds, values: Mapping[str, Any] | None) -> Resource | None:
    """Read back what ``values.to_json`` wrote.

    Raises KeyError, TypeError or ValueError on nonsense.
    """
    if values is None:
        return None
    arguments = dict(values)
    resource = kinds[arguments.pop("kind")].resource
    for field in fields(resource):
        if field.type == "bytes" and field.name in arguments:
            arguments[field.name] = bytes.fromhex(arguments[field.name])
    read: Resource = resource(**arguments)
    return read
