"""What is set up here, and what it does at the moment (``--status``)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from netplan_tproxy.datapath.build import demands_transparency
from netplan_tproxy.datapath.counters import Counts, counters
from netplan_tproxy.datapath.fastpath_counters import fast_counters
from netplan_tproxy.datapath.flows import intercepted_connections, tracked_datagrams
from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.layouts import CONFIG, ConfigValue, unpack_config
from netplan_tproxy.datapath.snapshot import Snapshot
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.bpf.dump import program_age
from netplan_tproxy.kernel.bpf.programs import prog_fd_by_id
from netplan_tproxy.kernel.sockets import listeners
from netplan_tproxy.kernel.sockets.diag import Socket
from netplan_tproxy.kernel.sockets.owners import owners
from netplan_tproxy.reconcile.drift import Drift
from netplan_tproxy.reconcile.report import plan_report
from netplan_tproxy.resource.kind import Kinds
from netplan_tproxy.resource.values import Plan
from netplan_tproxy.site.model import LISTENERS
from netplan_tproxy.state.site_record import SiteRecord
from netplan_tproxy.state.state import State
from netplan_tproxy.system.text import rfc3339

MOST_FLOWS = 20
# A process opens its listener early. Whose a connection is may not be told of a process with more.
_MOST_DESCRIPTORS = 500
# What attaches a program to a device, in the words of the site file, by kind.
HOW = {"filter": "clsact", "tcx": "tcx"}
_DIRECTIONS = {"wan_egress": "output", "lan_ingress": "forward"}


@dataclass
class Counted:
    """The counters at one moment; ``at`` in seconds of the monotonic clock."""

    at: float = 0.0
    counts: Counts = field(default_factory=dict)


def count(kernel: Kernel) -> Counted:
    """Read the counters now."""
    return Counted(time.monotonic(), counters(kernel.bpf.maps))


def nothing_is_set_up(kernel: Kernel, state: State) -> bool:
    """Whether neither the ledger nor the kernel has anything of ours."""
    if state.ledger():
        return False
    with kernel.snapshot() as seen:
        return not (seen.maps or seen.programs)


def report(  # noqa: PLR0913 - the parts of the report
    kernel: Kernel,
    kinds: Kinds,
    state: State,
    before: Counted,
    difference: Drift | None,
    *,
    most_flows: int = MOST_FLOWS,
    moment: float = 0.0,
) -> dict[str, Any]:
    """Return the report as JSON values.

    Rates are measured since ``before``, over ``moment`` seconds at least.
    """
    if nothing_is_set_up(kernel, state):
        return {"set_up": False}
    pending = state.pending()
    config = read_config(kernel)
    flows = intercepted_connections(most_flows)
    listening = listeners.all_listeners()
    heard = {
        protocol: listeners.at(listening, protocol[:3], listener.address, listener.port)
        for protocol, listener in zip(LISTENERS, config.listeners if config else (), strict=False)
        if listener is not None
    }
    inodes = [one.inode for ones in heard.values() for one in ones]
    known = owners([*inodes, *(flow.inode for flow in flows.listed)], _MOST_DESCRIPTORS)
    time.sleep(max(0.0, before.at + moment - time.monotonic()))
    after = count(kernel)
    site = pending.site if pending else state.site_record()
    return {
        "set_up": True,
        "site": _site(site),
        "pending_seconds": pending.left if pending else None,
        "cut_short": bool(state.interrupted()) and pending is None,
        "seconds": after.at - before.at,
        "interfaces": _interfaces(kernel, kinds, before, after),
        "when_down": None if config is None else "bypass" if config.when_down_bypass else "drop",
        "listeners": _listeners(config, heard, known),
        "flows": {
            "tcp": flows.count,
            "sampled": flows.sampled,
            "udp_remembered": tracked_datagrams(kernel.bpf.maps).intercepted,
            "listed": [_flow(flow, known) for flow in flows.listed],
        },
        "fastpath": fast_counters(kernel.bpf.maps),
        "drift": _drift(difference),
    }


def read_config(kernel: Kernel) -> ConfigValue | None:
    """Read the config of the programs; None: there is none, so they leave everything alone."""
    value = kernel.bpf.maps.read_entry(CONFIG.pin, bytes(4))
    return unpack_config(value) if value is not None else None


def _site(site: SiteRecord | None) -> dict[str, Any] | None:
    if site is None:
        return None
    age = max(0.0, time.time() - site.at)
    return {
        "name": site.name, "file": site.source, "at": site.at, "time": rfc3339(site.at), "age": age,
    }  # fmt: skip


def _interfaces(
    kernel: Kernel, kinds: Kinds, before: Counted, after: Counted
) -> list[dict[str, Any]]:
    with kernel.snapshot() as seen:
        pinned = seen.programs
        attached = attached_programs(kinds, seen)
    devices: dict[str, list[Any]] = {}
    for one in sorted(attached, key=lambda each: (each.dev == "lo", each.dev, each.hook)):
        devices.setdefault(one.dev, []).append(one)
    interfaces = []
    for dev, held in devices.items():
        programs = [
            {
                "hook": one.hook,
                "attach": HOW[one.kind],
                "program": one.program,
                "id": one.prog_id,
                "age": _age(one.prog_id),
                "current": one.program in pinned,
            }
            for one in held
        ]
        names = [one.program.partition("@")[0].removesuffix("_l3") for one in held]
        interfaces.append(
            {
                "name": dev,
                "ifindex": held[0].ifindex,
                "intercept": [way for name, way in _DIRECTIONS.items() if name in names],
                "programs": programs,
                "counters": _counted(held[0].ifindex, before, after),
            }
        )
    return interfaces


def attached_programs(kinds: Kinds, seen: Snapshot) -> list[Any]:
    """Give our filters and tcx links; where both are at a hook, what runs first is first."""
    return [one for kind in reversed(HOW) for one in kinds[kind].observe(seen, ()) if one.signed]


def _age(prog_id: int) -> float | None:
    try:
        with prog_fd_by_id(prog_id) as fd:
            return program_age(fd)
    except KernelError:  # it is gone, or may not be opened
        return None


def _counted(ifindex: int, before: Counted, after: Counted) -> list[dict[str, Any]]:
    seconds = after.at - before.at
    rows = []
    for (where, outcome), (packets, octets) in sorted(after.counts.items()):
        if where != ifindex:
            continue
        old = before.counts.get((where, outcome), (0, 0))
        rates = [(new - was) / seconds if seconds > 0 else 0.0
                 for new, was in zip((packets, octets), old, strict=True)]  # fmt: skip
        rows.append(
            {
                "outcome": outcome, "packets": packets, "bytes": octets,
                "packets_per_second": max(0.0, rates[0]), "bytes_per_second": max(0.0, rates[1]),
            }
        )  # fmt: skip
    return sorted(rows, key=lambda one: -one["packets"])


Processes = Mapping[int, Sequence[tuple[int, str]]]


def _listeners(
    config: ConfigValue | None, heard: Mapping[str, list[Socket]], known: Processes
) -> list[dict[str, Any]]:
    rows = []
    for protocol, listener in zip(LISTENERS, config.listeners if config else (), strict=False):
        if listener is None:
            continue
        sockets = heard[protocol]
        rows.append(
            {
                "protocol": protocol,
                "address": str(listener),
                "listening": bool(sockets),
                "transparent": sockets[0].transparent if sockets else None,
                "bound": sockets[0].end if sockets else None,
                "processes": _processes(sockets, known),
                "waiting": sum(one.queued for one in sockets) if protocol[:3] == "tcp" else None,
                "backlog": sum(one.backlog for one in sockets) if protocol[:3] == "tcp" else None,
            }
        )
    return rows


def serves(row: Mapping[str, Any]) -> bool:
    """Whether what is sent to a listener of the report is taken."""
    # Answers from a foreign address are possible over TCP and IPv6 without transparency.
    needed = row["protocol"] != "tcp6" or demands_transparency()
    return bool(row["listening"]) and not (needed and row["transparent"] is False)


def _processes(sockets: Iterable[Socket], known: Processes) -> list[dict[str, Any]]:
    held = dict.fromkeys(one for socket in sockets for one in known.get(socket.inode, ()))
    return [{"pid": pid, "name": name} for pid, name in held]


def _flow(flow: Socket, known: Processes) -> dict[str, Any]:
    return {
        "client": flow.remote_end,
        "destination": flow.end,
        "processes": _processes([flow], known),
    }


def _drift(difference: Drift | None) -> dict[str, Any] | None:
    if difference is None:
        return None
    plan = difference.plan or Plan()
    against = "nothing" if difference.plan is None else "ledger" if difference.why else "file"
    return {
        "file": difference.file,
        "why": difference.why or None,
        "against": against,
        **plan_report(plan),
        "conflicts": [*plan.conflicts, *plan.impossible],
    }
