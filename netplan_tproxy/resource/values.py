"""Resources, changes and plans: the values that flow from the site file to the kernel.

A resource is a frozen dataclass with a ``key`` (what it is) and fields (how it is).
A change has two ends; create, update and remove are the three ways in which they
can be missing or differ, and undo is the change with its ends swapped. So no kind
needs a diff or a rollback of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple, Protocol

from netplan_tproxy.resource.ranks import Rank


class Id(NamedTuple):
    """What a resource is, across all kinds."""

    kind: str
    key: str


class Device(Protocol):
    """An interface; its number may be used again, so its link-layer address counts, too."""

    @property
    def ifindex(self) -> int:
        """Its number."""

    @property
    def mac(self) -> str:
        """Its link-layer address; "" for none."""


Devices = Mapping[str, Device]


def name_now(name: str, ifindex: int, mac: str, devices: Devices) -> str | None:
    """Give the name that a device has now; None: it is gone.

    ``name`` is what it was called, and ``ifindex`` 0 where that is all that is known.
    """
    if not ifindex or (name in devices and devices[name].ifindex == ifindex):
        return name
    for other, device in devices.items():
        if (device.ifindex, device.mac) == (ifindex, mac):
            return other
    return None


@dataclass(frozen=True)
class Resource:
    """One object of the kernel, as it is or as it should be."""

    kind: ClassVar[str]
    # A value that always exists and belongs to nobody (a sysctl): it is set, and set
    # back later. Anything else that differs and isn't ours is in the way.
    is_setting: ClassVar[bool] = False
    # Everybody's: that it is there already is not worth a line.
    is_shared: ClassVar[bool] = False

    @property
    def key(self) -> str:
        """What it is, unique within its kind."""
        raise NotImplementedError

    @property
    def id(self) -> Id:
        """Its kind and key."""
        return Id(self.kind, self.key)

    @property
    def rank(self) -> Rank:
        """Its place in the order of setting up."""
        raise NotImplementedError

    @property
    def turn(self) -> int:
        """Its place among those of its rank: what others of them need comes first."""
        return 0

    @property
    def group(self) -> str:
        """What the plan shows it under: an interface, or "host"."""
        return "host"

    @property
    def title(self) -> str:
        """What it is, in the words of ip(8) and tc(8)."""
        raise NotImplementedError

    @property
    def parts(self) -> tuple[str, ...]:
        """How it is, part by part: of an update people see those that differ."""
        return ()

    @property
    def value(self) -> str:
        """How it is, in one line."""
        return ", ".join(self.parts)

    @property
    def signed(self) -> bool:
        """Whether the kernel itself says that this tool made it."""
        return False

    @property
    def restorable(self) -> bool:
        """Whether undo can bring it back after ours took its place."""
        return True

    @property
    def in_use(self) -> str:
        """Why it must stay although we made it ("" when it may go)."""
        return ""

    def follow(self, devices: Devices) -> Resource | None:
        """Itself, under the name that its interface has now; None: that is gone."""
        del devices
        return self

    def satisfied_by(self, live: Resource) -> bool:
        """Whether ``live`` is all that this one asks for."""
        return self == live

    # Some settings change others when they are written. What follows is theirs.

    @property
    def along(self) -> tuple[Resource, ...]:
        """The others that it may change, as they are or are to be along with it."""
        return ()

    def upon(self, now: Resource | None, mine: Owned | None, others: Live) -> Resource:
        """Itself, with what becomes of the others when it takes the place of ``now``.

        ``mine`` is its ledger entry, ``others`` what the plan wants of those it is about.
        """
        del now, mine, others
        return self

    def beneath(self, ledger: Ledger) -> Resource:
        """What becomes of it, put back, under the settings of ours that stay."""
        del ledger
        return self

    def at_first(self, owned: Ledger) -> Resource:
        """Itself, the others as they were before anything of ours."""
        del owned
        return self

    def changed_along(self, ours: Resource, live: Live) -> Iterable[Resource]:
        """Give, as they were, the others that ``ours`` changed when it took its place."""
        del ours, live
        return ()


@dataclass(frozen=True)
class Change:
    """One step; ``before`` or ``after`` is None where there is or shall be nothing."""

    before: Resource | None
    after: Resource | None

    @property
    def subject(self) -> Resource:
        """The end that exists, the newer first."""
        end = self.after or self.before
        assert end is not None  # noqa: S101 - a change has at least one end
        return end

    @property
    def id(self) -> Id:
        """What it changes."""
        return self.subject.id

    def inverse(self) -> Change:
        """The change that undoes this one."""
        return Change(self.after, self.before)

    def follow(self, devices: Devices) -> Change | None:
        """The same where its interface is now; None: that is gone."""
        before = self.before.follow(devices) if self.before else None
        after = self.after.follow(devices) if self.after else None
        return Change(before, after) if before or after else None


@dataclass(frozen=True)
class Owned:
    """A ledger entry: what we put, and what was there before our first touch."""

    ours: Resource
    before: Resource | None = None

    def follow(self, devices: Devices) -> Owned | None:
        """The same where its interface is now; None: that is gone."""
        ours = self.ours.follow(devices)
        before = self.before.follow(devices) if self.before else None
        return Owned(ours, before) if ours else None


Ledger = Mapping[Id, Owned]
Live = Mapping[Id, Resource]


@dataclass(frozen=True)
class Plan:
    """What a run will do, in order, and what it will leave alone and why."""

    changes: tuple[Change, ...] = ()
    satisfied: tuple[Resource, ...] = ()
    kept: tuple[tuple[Resource, str], ...] = ()
    conflicts: tuple[str, ...] = ()
    impossible: tuple[str, ...] = ()
    ledger: Ledger | None = None
    # All that the run asks for, whether it has to change for it or not.
    wanted: tuple[Resource, ...] = ()


def follow_ledger(ledger: Ledger, devices: Devices) -> dict[Id, Owned]:
    """Give a ledger with the names that interfaces have now, without those that are gone."""
    entries = (mine.follow(devices) for mine in ledger.values())
    return {mine.ours.id: mine for mine in entries if mine}


def follow_changes(changes: Iterable[Change], devices: Devices) -> list[Change]:
    """Give changes with the names that interfaces have now, without those that are gone."""
    return [change for one in changes if (change := one.follow(devices))]


def ledger_to_json(ledger: Ledger) -> list[dict[str, Any]]:
    """Give a ledger as JSON values."""
    return [
        {"ours": to_json(mine.ours), "before": to_json(mine.before)} for mine in ledger.values()
    ]


def to_json(resource: Resource | None) -> dict[str, Any] | None:
    """Give a resource as JSON values, with its kind; bytes in hexadecimal.

    Without fields that are ``transient``, and those that are ``sparse`` and empty.
    """
    if resource is None:
        return None
    values: dict[str, Any] = {"kind": resource.kind}
    for field in fields(resource):
        value = getattr(resource, field.name)
        if field.metadata.get("transient") or (field.metadata.get("sparse") and not value):
            continue
        values[field.name] = value.hex() if isinstance(value, bytes) else value
    return values
