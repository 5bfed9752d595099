"""What would happen to a new connection (``--explain``), by what the kernel has now."""

from __future__ import annotations

import errno
import ipaddress
from dataclasses import asdict
from typing import Any

from netplan_tproxy.datapath.build import demands_transparency
from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.layouts import ConfigValue
from netplan_tproxy.datapath.set_lookup import SetLookup
from netplan_tproxy.errors import KernelError, TproxyError
from netplan_tproxy.inspect.decision import (
    INTERCEPTED,
    Flow,
    Step,
    UnknownSourceError,
    decide,
)
from netplan_tproxy.inspect.flow import Question
from netplan_tproxy.inspect.site_lines import deciding
from netplan_tproxy.inspect.status import HOW, attached_programs, read_config
from netplan_tproxy.kernel.host.sysctl import read_sysctl
from netplan_tproxy.kernel.host.users_cgroups import cgroup_ids, resolve_users
from netplan_tproxy.kernel.netlink.route_get import Way, way_to
from netplan_tproxy.kernel.sockets import listeners
from netplan_tproxy.kernel.sockets.owners import owners
from netplan_tproxy.resource.kind import Kinds
from netplan_tproxy.site.model import LISTENERS
from netplan_tproxy.state.state import State


def report(kernel: Kernel, kinds: Kinds, state: State, question: Question) -> dict[str, Any]:
    """Return the questions that the programs would ask, their answers, and the outcome.

    Raises TproxyError for an unknown device, user or cgroup, and if the outcome depends on
    the source address of a forwarded connection that is not given.
    """
    config = read_config(kernel)
    with kernel.snapshot() as seen:
        # Where both are at a hook, what runs first counts.
        attached = {(one.dev, one.hook): one for one in reversed(attached_programs(kinds, seen))}
        links = {link.ifindex: name for name, link in seen.links.items()}
    watched = {where: one.program for where, one in attached.items()}
    place = _Place(question, config, watched, links)
    uid = _uid(question.user)
    flow, outcome = place.flow(uid)
    steps: list[Step] = []
    if not outcome and config is not None:
        with SetLookup(kernel.bpf.sets) as sets:
            try:
                steps = decide(config, flow, sets.matched)
            except UnknownSourceError:
                message = (
                    f"the source of what comes in by {place.device} decides: say --source ADDRESS"
                )
                raise TproxyError(message) from None
        outcome = steps[-1].outcome
    proxy = _proxy(config, flow) if config is not None else None
    if outcome == INTERCEPTED and proxy is not None and not _serves(proxy):
        outcome = "down_bypassed" if config and config.when_down_bypass else "refused"
    if outcome == INTERCEPTED and config is not None and not _taken_in(config, flow, place):
        outcome = "lost"
    met = attached.get((place.device, "egress" if flow.local else "ingress"))
    record = state.site_record() if _on_record(state, config) else None
    return {
        "connection": {
            **asdict(question),
            "source": flow.source,
            "direction": "output" if flow.local else "forward",
            "device": place.device,
            "attach": HOW[met.kind] if met else None,
            "uid": uid if flow.local else None,
        },
        "steps": [asdict(step) for step in steps],
        "outcome": outcome,
        "proxy": proxy if outcome in _ASKED_PROXY else None,
        "on_record": record is not None,
        "decided_by": deciding(record, question, flow, steps, outcome),
    }


# What the lookup answers to a source that may not come in there.
_NO_SUCH_SOURCE = frozenset({errno.EINVAL, errno.EXDEV, errno.ENODEV})
_ASKED_PROXY = frozenset({INTERCEPTED, "lost", "refused", "down_bypassed"})


class _Place:
    """The device and direction of a question, and the program that sees its flow there."""

    def __init__(
        self,
        question: Question,
        config: ConfigValue | None,
        watched: dict[tuple[str, str], str],
        links: dict[int, str],
    ) -> None:
        self._asked = question
        self._config = config
        self._watched = watched
        self._links = links
        self.device = question.device

    def ifindex(self, name: str) -> int:
        """Return the number of a device; 0 if there is none."""
        return {device: number for number, device in self._links.items()}.get(name, 0)

    def flow(self, uid: int) -> tuple[Flow, str]:
        """Return the flow, and its outcome if no program sees it ("" if one does)."""
        asked = self._asked
        if asked.device and asked.device not in self._links.values():
            there = ", ".join(sorted(self._links.values()))
            message = f"{asked.device}: no such interface here (there is: {there})"
            raise TproxyError(message)
        return self._forwarded() if self._comes_in() else self._sent(uid)

    def _comes_in(self) -> bool:
        asked = self._asked
        if asked.source:
            return _way(asked.source).type != "local"
        leaves = (asked.device, "egress") in self._watched
        return not leaves and self._runs("ingress", "lan_ingress")

    def _runs(self, hook: str, program: str) -> bool:
        return self._watched.get((self.device, hook), "").startswith(program)

    def _new(self, way: Way | None, **more: Any) -> Flow:
        asked = self._asked
        source = asked.source or (way.source if way else "") or None
        return Flow(asked.protocol, source, asked.target, asked.port, mark=asked.mark, **more)

    def _sent(self, uid: int) -> tuple[Flow, str]:
        asked = self._asked
        oif = self.ifindex(asked.device)
        way = _way(asked.target, source=asked.source, oif=oif, mark=asked.mark, uid=uid)
        groups = cgroup_ids(asked.cgroup) if asked.cgroup else ()
        if groups is None:
            message = f"{asked.cgroup}: no such cgroup here"
            raise TproxyError(message)
        flow = self._new(way, uid=uid, cgroups=groups, broadcast=way.type == "broadcast")
        self.device = self._links.get(way.ifindex, asked.device)
        if way.type == "local":
            return flow, "local"
        if way.type not in {"unicast", "broadcast", "multicast"}:
            return flow, "no_route"
        if not self._runs("egress", "wan_egress"):
            return flow, "not_watched"
        return flow, "" if self._config is not None else "unconfigured"

    def _forwarded(self) -> tuple[Flow, str]:
        flow = self._new(None, local=False)
        if not self.device:
            message = f"{self._asked.source}: not of this host: say --from INTERFACE it comes in by"
            raise TproxyError(message)
        if not self._runs("ingress", "lan_ingress"):
            return flow, "not_watched"
        if not self._asked.source and (self._asked.user or self._asked.cgroup):
            what = "user" if self._asked.user else "cgroup"
            message = (
                f"what machines behind {self.device} send has no {what} here: leave out --{what}, "
                "or, for a process of this host, say --source with one of its addresses"
            )
            raise TproxyError(message)
        if self._config is None:
            return flow, "unconfigured"
        return flow, self._stays(flow)

    def _stays(self, flow: Flow) -> str:
        """Return the outcome of check_route() in bpf/tproxy/route.h; "" if it is forwarded."""
        ends = [ipaddress.ip_address(end) for end in (flow.source, flow.target) if end]
        if flow.v6 and any(
            end.is_multicast or end.is_link_local or end.is_loopback for end in ends
        ):
            return "local"
        family = "ipv6" if flow.v6 else "ipv4"
        if read_sysctl(f"net/{family}/conf/{self.device}/forwarding") == "0":
            return "not_forwarding"
        return "" if _way(flow.target).type == "unicast" else "local"


def _taken_in(config: ConfigValue, flow: Flow, place: _Place) -> bool:
    """Whether rule and route deliver a marked packet to this host, from this source."""
    if flow.source is None:
        return True
    mark = flow.mark & ~config.intercept.mask | config.intercept.value
    iif = config.lo if flow.local else place.ifindex(place.device)
    try:
        return way_to(flow.target, source=flow.source, iif=iif, mark=mark).type == "local"
    except KernelError as refusal:
        if refusal.errno in _NO_SUCH_SOURCE:
            return False
        raise


def _way(target: str, **how: Any) -> Way:
    try:
        return way_to(target, **how)
    except KernelError as refusal:
        raise TproxyError(str(refusal)) from refusal


def _uid(user: str) -> int:
    if not user:
        return 0
    uids = resolve_users([user])
    if user not in uids:
        message = f"no user {user!r} here"
        raise TproxyError(message)
    return uids[user]


def _proxy(config: ConfigValue, flow: Flow) -> dict[str, Any] | None:
    listener = config.listeners[LISTENERS.index(flow.listener)]
    if listener is None:
        return None
    heard = listeners.at(listeners.all_listeners(), flow.protocol, listener.address, listener.port)
    known = owners(one.inode for one in heard)
    held = dict.fromkeys(each for one in heard for each in known.get(one.inode, ()))
    return {
        "address": str(listener),
        "listening": bool(heard),
        "transparent": heard[0].transparent if heard else None,
        "processes": [{"pid": pid, "name": name} for pid, name in held],
    }


def _serves(proxy: dict[str, Any]) -> bool:
    """Whether the programs give anything to who listens (who_listens() in bpf/tproxy)."""
    opaque = proxy["transparent"] is False and demands_transparency()
    return proxy["listening"] and not opaque


def _on_record(state: State, config: ConfigValue | None) -> bool:
    """Whether the programs have the config that was applied last."""
    packed = [
        getattr(mine.ours, "packed", b"")
        for identity, mine in state.ledger().items()
        if identity.kind == "config"
    ]
    return config is not None and packed == [config.pack()]
