"""Kind ``sysctl``: kernel settings of the network namespace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.snapshot import Snapshot
from netplan_tproxy.datapath.wanted import Wanted
from netplan_tproxy.errors import TproxyError
from netplan_tproxy.kernel.host import sysctl_family
from netplan_tproxy.kernel.host.sysctl import dotted, is_read_only, read_sysctl, write_sysctl
from netplan_tproxy.kernel.host.sysctl_family import becomes, family, interface_of, ipv6_switch
from netplan_tproxy.kernel.netlink.links import Link
from netplan_tproxy.resource.kind import Kind
from netplan_tproxy.resource.ranks import Rank
from netplan_tproxy.resource.values import (
    Devices,
    Id,
    Ledger,
    Live,
    Owned,
    Resource,
    name_now,
)

Values = tuple[tuple[str, str], ...]
Lost = tuple[tuple[str, str, str], ...]
_MOST_NAMES = 8


@dataclass(frozen=True)
class Sysctl(Resource):
    """One setting; ``path`` is relative to /proc/sys.

    ``devices`` are the number and address of the interfaces whose settings it is about, by
    name. ``family`` are others that a write changes, by path: as they are, or are to be along with
    it. ``lost`` is what goes where IPv6 is switched off: device, name, and the message that
    brings it back.
    """

    kind: ClassVar[str] = "sysctl"
    is_setting: ClassVar[bool] = True

    path: str
    setting: str
    family: Values = field(default=(), compare=False, metadata={"sparse": True})
    lost: Lost = field(default=(), compare=False, metadata={"sparse": True})
    devices: Mapping[str, Sequence[Any]] = field(
        default_factory=dict, compare=False, metadata={"sparse": True}
    )

    def __post_init__(self) -> None:
        # A ledger has lists.
        object.__setattr__(self, "family", tuple(tuple(pair) for pair in self.family))
        object.__setattr__(self, "lost", tuple(tuple(one) for one in self.lost))
        devices = {name: tuple(device) for name, device in self.devices.items()}
        object.__setattr__(self, "devices", devices)

    @property
    def key(self) -> str:
        return self.path

    @property
    def rank(self) -> Rank:
        return Rank.SYSCTL

    @property
    def title(self) -> str:
        return f"sysctl {dotted(self.path)}"

    @property
    def parts(self) -> tuple[str, ...]:
        shown = [
            (path, value)
            for path, value in self.family
            if becomes(self.path, path) in {sysctl_family.follows, sysctl_family.opposes}
        ]
        lost = dict.fromkeys(f"{what} dev {dev}" for dev, what, _ in self.lost)
        return (self.setting, *_folded(shown), *lost)

    def follow(self, devices: Devices) -> Resource | None:
        names = {
            name: name_now(name, ifindex, mac, devices)
            for name, (ifindex, mac) in self.devices.items()
        }
        path = _renamed(self.path, names)
        if path is None:
            return None
        family = ((_renamed(member, names), value) for member, value in self.family)
        lost = ((names.get(dev, dev), what, message) for dev, what, message in self.lost)
        return replace(
            self,
            path=path,
            family=tuple((member, value) for member, value in family if member),
            lost=tuple((dev, what, message) for dev, what, message in lost if dev),
            devices={now: self.devices[name] for name, now in names.items() if now},
        )

    @property
    def along(self) -> tuple[Resource, ...]:
        return tuple(Sysctl(path, value) for path, value in self.family)

    def upon(self, now: Resource | None, mine: Owned | None, others: Live) -> Resource:
        if not isinstance(now, Sysctl):
            return self
        before = mine.before if mine else None
        first = before if isinstance(before, Sysctl) and before == self else Sysctl("", "")
        held = {
            path: self._holds(path, value, now.setting if mine else None, dict(first.family))
            for path, value in now.family
        }
        wanted = ((path, others.get(Id(self.kind, path))) for path, _ in now.family)
        held |= {path: one.setting for path, one in wanted if isinstance(one, Sysctl)}
        values = tuple((path, value) for path, value in held.items() if value is not None)
        lost = dict.fromkeys((*first.lost, *now.lost))
        back = tuple(one for one in lost if self._has_ipv6(one[0], held))
        return replace(self, family=values, lost=back, devices={**now.devices, **self.devices})

    def _has_ipv6(self, dev: str, held: Mapping[str, str | None]) -> bool:
        return (held.get(f"net/ipv6/conf/{dev}/disable_ipv6") or self.setting) == "0"

    def _holds(self, path: str, value: str, ours: str | None, first: dict[str, str]) -> str | None:
        """Give what another setting is to be along with this one; None: as the kernel says.

        ``ours`` is the setting that goes, if we put it there; ``first`` are the values before
        that, where it goes back to what it was then.
        """
        how = becomes(self.path, path)
        if how is None or how is sysctl_family.stays:
            return value
        if how is not sysctl_family.derived and ours is not None and value != how(ours, value):
            # Somebody has set it since.
            return value
        return first.get(path, how(self.setting, value))

    def beneath(self, ledger: Ledger) -> Resource:
        for mine in ledger.values():
            leader = mine.ours
            if isinstance(leader, Sysctl) and mine.before is not None and mine.before != leader:
                how = becomes(leader.path, self.path)
                setting = how(leader.setting, self.setting) if how else None
                if setting is not None:
                    return replace(self, setting=setting)
        return self

    def at_first(self, owned: Ledger) -> Resource:
        first = dict(self.family)
        for path in first:
            mine = owned.get(Id(self.kind, path))
            if mine is not None and isinstance(mine.before, Sysctl):
                first[path] = mine.before.setting
        return replace(self, family=tuple(first.items()))

    def changed_along(self, ours: Resource, live: Live) -> Iterable[Resource]:
        for path, value in self.family:
            now = live.get(Id(self.kind, path))
            how = becomes(self.path, path)
            if how is None or how is sysctl_family.stays:
                continue
            if not (isinstance(now, Sysctl) and isinstance(ours, Sysctl)):
                continue
            if now.setting == how(ours.setting, now.setting):
                along = {**dict(self.family), self.path: self.setting}
                along.pop(path)
                members = tuple(along.items()) if how is sysctl_family.same else ()
                about = {interface_of(one) for one in (path, *dict(members))}
                devices = {name: self.devices[name] for name in about & self.devices.keys()}
                yield Sysctl(path, value, members, devices=devices)


def _renamed(path: str, names: Mapping[str, str | None]) -> str | None:
    """Give a path with the name that its interface has now; None: that is gone."""
    old = interface_of(path)
    new = names.get(old, old)
    return path.replace(f"/{old}/", f"/{new}/", 1) if new or not old else None


def _devices(links: Mapping[str, Link], paths: Iterable[str]) -> dict[str, tuple[int, str]]:
    named = {interface_of(path): None for path in paths}
    return {name: (links[name].ifindex, links[name].mac) for name in named if name in links}


def _folded(values: Iterable[tuple[str, str]]) -> Iterable[str]:
    """Give what differs in the interface alone as one: ``net.ipv4.conf.{a,b}.forwarding 0``."""
    names: dict[tuple[str, str, str], list[str]] = {}
    for path, value in values:
        before, name, after = path.rsplit("/", 2)
        names.setdefault((before, after, value), []).append(name)
    for (before, after, value), alike in names.items():
        rest = len(alike) - _MOST_NAMES
        some = [*sorted(alike)[:_MOST_NAMES], *([f"{rest} more"] if rest > 0 else [])]
        if len(some) == 1:
            yield f"{dotted(f'{before}/{some[0]}/{after}')} {value}"
        else:
            yield f"{dotted(before)}.{{{','.join(some)}}}.{after} {value}"


class SysctlKind(Kind[Sysctl]):
    """A setting always exists: it is set, and set back."""

    resource = Sysctl

    def desired(self, wanted: Wanted) -> Iterable[Sysctl]:
        for path, value in wanted.site.sysctls:
            devices = _devices(wanted.facts.links, [path])
            yield Sysctl(path, " ".join(value.split()), devices=devices)

    def observe(self, seen: Snapshot, scope: Sequence[Sysctl]) -> Iterable[Sysctl]:
        for path in dict.fromkeys(one.path for one in scope):
            setting = seen.sysctl(path)
            if setting is not None:
                members = ((member, seen.sysctl(member)) for member in family(path, seen.links))
                values = tuple((member, value) for member, value in members if value)
                switch = ipv6_switch(path)
                devices = [] if not switch else seen.ipv6_objects if switch == "all" else [switch]
                lost = (
                    (dev, one.what, one.message)
                    for dev in devices
                    for one in seen.ipv6_objects.get(dev, ())
                )
                about = _devices(seen.links, [path, *(member for member, _ in values)])
                yield Sysctl(path, setting, values, tuple(lost), about)

    def prepare(self, kernel: Kernel, before: Sysctl | None, after: Sysctl | None) -> None:
        del kernel, before
        if (
            after is None
            or not is_read_only(after.path)
            or read_sysctl(after.path) == after.setting
        ):
            return
        name = dotted(after.path)
        message = (
            f"sysctl {name}: /proc/sys is read-only here, as in containers: set it from outside "
            f"(docker run --sysctl {name}={after.setting}) or mount /proc/sys read-write; nothing "
            "was touched"
        )
        raise TproxyError(message)

    def make(self, kernel: Kernel, before: Sysctl | None, after: Sysctl | None) -> None:
        del before
        if after is None:
            return
        # Of some settings a write has effects although it changes nothing.
        if read_sysctl(after.path) != after.setting:
            write_sysctl(after.path, after.setting)
        for path, value in after.family:
            if read_sysctl(path) not in {None, value}:
                write_sysctl(path, value)
        kernel.netlink.bring_back([(what, message) for _, what, message in after.lost])


KIND = SysctlKind()
