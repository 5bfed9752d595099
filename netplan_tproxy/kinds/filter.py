"""Kind ``filter``: the tc filters that run our programs on a device's clsact hooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from netplan_tproxy.datapath.filter_names import (
    HANDLE,
    PRIO,
    filter_name,
    is_in_our_place,
    program_of,
)
from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.pinned_programs import PinnedProgram
from netplan_tproxy.datapath.programs import pin_of
from netplan_tproxy.datapath.snapshot import Snapshot
from netplan_tproxy.datapath.wanted import Wanted
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.netlink.links import Link
from netplan_tproxy.kernel.netlink.tc import CLSACT_EGRESS, CLSACT_INGRESS, FilterRecord
from netplan_tproxy.resource.kind import Kind
from netplan_tproxy.resource.ranks import Rank, rank_of_hook
from netplan_tproxy.resource.values import Devices, Resource, name_now

_HOOKS = {"ingress": CLSACT_INGRESS, "egress": CLSACT_EGRESS}


@dataclass(frozen=True)
class Filter(Resource):
    """What sits at our prio and handle of one hook.

    ``program`` is ``NAME@DIGEST``, the pinned program it runs. A filter that carries our
    name but runs anything else shows as ``not ours``, one with another name by that name.
    """

    kind: ClassVar[str] = "filter"

    dev: str
    hook: str
    program: str
    ifindex: int = field(default=0, compare=False)
    prog_id: int = field(default=0, compare=False)
    name: str = field(default="", compare=False)
    replaceable: bool = field(default=True, compare=False)
    mac: str = field(default="", compare=False)

    @property
    def key(self) -> str:
        return f"{self.dev} {self.hook}"

    @property
    def rank(self) -> Rank:
        return rank_of_hook(self.dev, self.hook)

    @property
    def group(self) -> str:
        return self.dev

    @property
    def title(self) -> str:
        return f"filter {self.dev} {self.hook}"

    @property
    def parts(self) -> tuple[str, ...]:
        return (self.program,)

    @property
    def signed(self) -> bool:
        return bool(program_of(self.name))

    @property
    def restorable(self) -> bool:
        return self.replaceable

    def follow(self, devices: Devices) -> Resource | None:
        dev = name_now(self.dev, self.ifindex, self.mac, devices)
        return replace(self, dev=dev) if dev else None


class FilterKind(Kind[Filter]):
    """The kernel knows a filter by device, hook, prio and handle; its name tells ours."""

    resource = Filter

    def desired(self, wanted: Wanted) -> Iterable[Filter]:
        for place in wanted.places(tcx=False):
            program = pin_of(place.program)
            link = wanted.facts.links[place.dev]
            name = filter_name(program)
            yield Filter(place.dev, place.hook, program, link.ifindex, name=name, mac=link.mac)

    def observe(self, seen: Snapshot, scope: Sequence[Filter]) -> Iterable[Filter]:
        # On every device: without a ledger, and after a renaming, the name alone tells.
        del scope
        links = {link.ifindex: link for link in seen.links.values()}
        for ifindex in seen.ingress_qdiscs.keys() & links.keys():
            for hook, parent in _HOOKS.items():
                for record in seen.filters(ifindex, parent):
                    if is_in_our_place(record):
                        yield _filter(links[ifindex], hook, record, seen.programs)

    def prepare(self, kernel: Kernel, before: Filter | None, after: Filter | None) -> None:
        for end in (before, after):
            if end is not None and end.prog_id:
                kernel.bpf.attached.hold(end.prog_id)

    def make(self, kernel: Kernel, before: Filter | None, after: Filter | None) -> None:
        subject = after or before
        if subject is None:
            return
        link = kernel.netlink.link(subject.dev)
        if link is not None and link.ifindex != (subject.ifindex or link.ifindex):
            link = None
        if link is None and after is None:
            return
        if link is None:
            message = f"{subject.title}: the interface is gone"
            raise KernelError(message)
        record = FilterRecord(
            _HOOKS[subject.hook], PRIO, HANDLE, "bpf", subject.name, subject.prog_id
        )
        if after is None:
            kernel.netlink.del_filter(link.ifindex, record)
            return
        if before is not None and not before.signed:
            kernel.bpf.attached.adopt(before.prog_id)
        fd = kernel.bpf.attached.fd(after.program, after.prog_id)
        kernel.netlink.put_filter(link.ifindex, record, fd)
        if not after.signed:
            kernel.bpf.attached.give_back(after.prog_id)

    def settled(self, kernel: Kernel, befores: Sequence[Filter]) -> None:
        kernel.bpf.attached.keep_adopted({before.prog_id for before in befores})


def _filter(
    link: Link, hook: str, record: FilterRecord, programs: Mapping[str, PinnedProgram]
) -> Filter:
    program = program_of(record.name)
    pinned = programs.get(program)
    if not program:
        program = f"{record.what} {record.name}".strip()
    elif pinned is None or pinned.id != record.prog_id or not pinned.current:
        program = f"another program, id {record.prog_id}"
    replaceable = record.handle == HANDLE and record.prog_id != 0 and record.direct
    return Filter(
        link.name, hook, program, link.ifindex, record.prog_id, record.name, replaceable, link.mac
    )


KIND = FilterKind()
