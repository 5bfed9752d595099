"""Connections that lose their way to the proxy by a change: they are ended, so that none hangs.

A connection goes on as long as something carries it. Without the rule of its family its packets
would be dropped on ``lo``; without the filter that takes them they would go out directly, or be
dropped where the proxy's socket is found for what is to be forwarded.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from netplan_tproxy.datapath.connections import Connection, live_connections
from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.layouts import CONFIG, FLOWS, unpack_config
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.netlink.route_get import way_to
from netplan_tproxy.kernel.sockets.abort import abort_all
from netplan_tproxy.kinds.config import Config
from netplan_tproxy.kinds.filter import Filter
from netplan_tproxy.kinds.map import Map
from netplan_tproxy.kinds.rule import Rule
from netplan_tproxy.kinds.tcx import Tcx
from netplan_tproxy.resource.values import Change, Plan, Resource
from netplan_tproxy.site.model import LISTENERS
from netplan_tproxy.site.sections.proxy import LISTENER_FAMILIES

_TAKES_OUTPUT, _TAKES_FORWARDED = "wan_egress", "lan_ingress"


@dataclass(frozen=True)
class Lost:
    """What carries connections no more; ``output`` and ``forward`` are numbers of devices."""

    everything: bool = False
    families: frozenset[int] = frozenset()
    output: frozenset[int] = frozenset()
    forward: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.everything or self.families or self.output or self.forward)


def in_all(begun: Sequence[Change], plan: Plan) -> list[Change]:
    """Give what a killed run had ``begun``, and a plan that goes on from there, as one. Pure."""
    wanted = {one.id: one for one in plan.wanted}
    return [
        *(Change(one.before, wanted.get(one.id)) for one in begun if one.before is not None),
        *plan.changes,
    ]


def lost(changes: Sequence[Change]) -> Lost:
    """Tell what ``changes`` take from the connections that there are. Pure."""
    ruleless = _families(changes, before=True) - _families(changes, before=False)
    return Lost(
        everything=any(_goes(change, Map(FLOWS.pin)) for change in changes),
        families=ruleless & _unlistened(changes),
        output=frozenset(_untaken(changes, _TAKES_OUTPUT)),
        forward=frozenset(_untaken(changes, _TAKES_FORWARDED)),
    )


def end_lost(changes: Sequence[Change], kernel: Kernel) -> str:
    """End the connections that ``changes``, which are made, took the way from.

    Gives a line that says so, "" where there are none. Whatever fails is in it.
    """
    gone = lost(changes)
    if not gone:
        return ""
    try:
        gone = _taken_otherwise(gone, kernel)
        ways = _Ways()
        cut = [one for one in live_connections(kernel.bpf.maps) if _is_cut(one, gone, ways)]
        ended = abort_all(socket for one in cut for socket in one.sockets)
    except KernelError as refusal:
        return f"! connections that no longer reach the proxy hang: {refusal}"
    if not cut:
        return ""
    said = f"{len(cut)} connection{'s'[: len(cut) != 1]} that no longer reach the proxy"
    if ended:
        return f"reset {said}"
    return f"! {said}: this kernel cannot end them (CONFIG_INET_DIAG_DESTROY), they may hang"


def _goes(change: Change, what: Resource) -> bool:
    return change.after is None and change.before == what


def _families(changes: Iterable[Change], *, before: bool) -> frozenset[int]:
    ends = (change.before if before else change.after for change in changes)
    return frozenset(end.family for end in ends if isinstance(end, Rule))


def _unlistened(changes: Iterable[Change]) -> frozenset[int]:
    """Give the families that had a listener and have none."""
    for change in changes:
        if isinstance(change.subject, Config):
            return _listened(change.before) - _listened(change.after)
    return frozenset()


def _listened(config: Resource | None) -> frozenset[int]:
    if not isinstance(config, Config) or len(config.packed) != CONFIG.value_size:
        return frozenset()
    listeners = unpack_config(config.packed).listeners
    named = zip(LISTENERS, listeners, strict=True)
    return frozenset(LISTENER_FAMILIES[name] for name, listener in named if listener)


def _untaken(changes: Iterable[Change], program: str) -> Iterator[int]:
    """Give the devices on which ``program`` ran, and runs no more by the same way."""
    for change in changes:
        before, after = change.before, change.after
        if isinstance(before, Filter | Tcx) and _runs(before, program) > _runs(after, program):
            yield before.ifindex


def _runs(what: Resource | None, program: str) -> bool:
    return isinstance(what, Filter | Tcx) and what.program.startswith(program)


def _taken_otherwise(gone: Lost, kernel: Kernel) -> Lost:
    """Leave out the devices on which a filter does now what a tcx link did, or the reverse."""
    with kernel.snapshot() as seen:
        output = (one for one in gone.output if not seen.runs(one, "egress", _TAKES_OUTPUT))
        forward = (one for one in gone.forward if not seen.runs(one, "ingress", _TAKES_FORWARDED))
        return replace(gone, output=frozenset(output), forward=frozenset(forward))


class _Ways:
    """The devices by which this host reaches others; each way is asked for once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], int] = {}

    def device(self, target: str, source: str = "") -> int:
        """Give its number; 0 where there is no way."""
        if (target, source) not in self._known:
            self._known[target, source] = 0
            with contextlib.suppress(KernelError):
                self._known[target, source] = way_to(target, source=source).ifindex
        return self._known[target, source]


def _is_cut(one: Connection, gone: Lost, ways: _Ways) -> bool:
    if gone.everything or one.ends.family in gone.families:
        return True
    if one.near is None:
        return bool(gone.forward) and ways.device(one.ends.client) in gone.forward
    if not gone.output:
        return False
    device = one.near.ifindex or ways.device(one.ends.target, one.ends.client)
    return device in gone.output
