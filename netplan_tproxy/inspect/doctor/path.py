"""Whether what this host sends comes to the proxy: a packet is sent.

For each listener one packet as most programs send theirs, and one bound to each interface.
None leaves this host unless it is let out, and then no further than the next router: it has
one hop, and goes to an address of documentation (RFC 5737, RFC 3849) if the site file
intercepts those.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from netplan_tproxy.checks import interception
from netplan_tproxy.checks.interception import Passage, passage
from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.layouts import ConfigValue
from netplan_tproxy.datapath.set_lookup import SetLookup
from netplan_tproxy.errors import KernelError
from netplan_tproxy.inspect.decision import INTERCEPTED, Flow, decide
from netplan_tproxy.inspect.doctor.finding import Finding, fail, ok, unseen
from netplan_tproxy.inspect.doctor.probes import addresses, ports
from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.inspect.status import read_config
from netplan_tproxy.kernel.host.users_cgroups import cgroup_ids
from netplan_tproxy.kernel.netlink.route_get import Way, way_to
from netplan_tproxy.site.model import Policy

_SECONDS = 0.4
_SIDE_BY_SIDE = 16
_NOBODY = 65534

_NETFILTER = "`nft list ruleset`, `iptables-save` and `ip rule` show what is on the way"
_FATES = {
    interception.NOT_SEEN: "never reaches our program at the egress of {device}: it is dropped, "
    "or rerouted (by a mark set in OUTPUT, as sshuttle does), or another filter takes it",
    interception.LET_OUT: "is let out by our program, though it should not be",
    interception.LOST: "is sent to lo by our program, and lost before the proxy's socket: "
    "something on the way changes its mark or drops it (PREROUTING, INPUT), or routes it otherwise",
    interception.NO_ANSWER: "arrives at the proxy, and the answer does not come back",
}
_ADVICE = {
    interception.NOT_SEEN: "`nft list ruleset`, `iptables-save` and `tc filter show dev {device} "
    "egress` show what does it",
    interception.LET_OUT: "apply the site file again",
}


@dataclass(frozen=True)
class Probe:
    """A packet to send for a listener; ``why`` none is sent. ``leaves``: by which device."""

    name: str
    what: str
    device: str
    leaves: str
    target: tuple[str, int] = ("", 0)
    uid: int = 0
    why: str = ""


def examine(target: Target) -> list[Finding]:
    """Send the packets."""
    if not target.privileged:
        return [unseen("path.sent", "no packet was sent: that takes CAP_NET_ADMIN", "use sudo")]
    if target.site is None:
        return [unseen("path.sent", "no packet was sent: that takes a site file")]
    with Kernel() as kernel:
        config = read_config(kernel)
        if config is None:
            return [unseen("path.sent", "no packet was sent: nothing is set up here yet")]
        with SetLookup(kernel.bpf.sets) as sets:
            plan = _Planner(target, config, sets)
            probes = [probe for name, _ in target.listeners for probe in plan.of(name)]
    # Side by side: each waits for its answer. A thread has its maker's network namespace.
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as threads:
        passages = list(threads.map(_sent, probes))
    return [judged(probe, seen) for probe, seen in zip(probes, passages, strict=True)]


def _sent(probe: Probe) -> Passage:
    if probe.why:
        return Passage(interception.NOT_SENT, why=probe.why)
    protocol = probe.name.removesuffix("6")
    return passage(protocol, probe.target, _SECONDS, device=probe.device, uid=probe.uid)


class _Planner:
    """Which packets to send, by what is set up in the kernel."""

    def __init__(self, target: Target, config: ConfigValue, sets: SetLookup) -> None:
        self._target, self._config, self._sets = target, config, sets
        self._policy = target.site.policy if target.site else Policy()
        self._cgroups = _own_cgroups()

    def of(self, name: str) -> Iterator[Probe]:
        """Plan those that a listener should get."""
        devices = self._target.intercepting("output")
        for device in ("", *devices):
            probe = self._probe(name, device)
            # By which device most packets leave is said elsewhere.
            if device or probe.leaves in devices:
                yield probe

    def _probe(self, name: str, device: str) -> Probe:
        protocol, version = name.removesuffix("6"), 6 if name.endswith("6") else 4
        kind = {"tcp": "a connection", "udp": "a datagram"}[protocol]
        leaves, why = device, "there is no route"
        for address in addresses(self._policy, version):
            way = self._way(address, device)
            if way is None:
                continue
            leaves = self._target.links_by_index.get(way.ifindex, "")
            why = "nothing that it may send is intercepted"
            for port in ports(self._policy):
                flow = Flow(protocol, way.source or None, address, port, cgroups=self._cgroups)
                uid = self._user(flow)
                if uid is not None:
                    what = f"{kind} over IPv{version} {_by(device, leaves)}"
                    return Probe(name, what, device, leaves, (address, port), uid)
        what = f"{kind} over IPv{version} {_by(device, leaves)}"
        return Probe(name, what, device, leaves, why=why)

    def _user(self, flow: Flow) -> int | None:
        """Return a user whose flow the programs would intercept; None: nobody's."""
        for uid in (os.geteuid(), _NOBODY):
            asked = replace(flow, uid=uid)
            if decide(self._config, asked, self._sets.matched)[-1].outcome == INTERCEPTED:
                return uid
        return None

    def _way(self, address: str, device: str) -> Way | None:
        link = self._target.links.get(device)
        try:
            way = way_to(address, oif=link.ifindex if link else 0)
        except KernelError:
            return None
        return way if way.type == "unicast" else None


def judged(probe: Probe, seen: Passage) -> Finding:
    """Judge what became of a packet. Pure."""
    code, what, device = f"path.{probe.name}", probe.what, probe.leaves
    if seen.fate == interception.ARRIVES:
        return ok(code, f"{what} comes to the proxy, and the answer back")
    if seen.fate == interception.REFUSED:
        return unseen(code, f"{what} is refused, as nobody listens", "start the proxy")
    if seen.fate == interception.NOT_SENT:
        return unseen(code, f"{what}: none was sent, as {seen.why}")
    text, advice = _FATES[seen.fate], _ADVICE.get(seen.fate, _NETFILTER)
    counted = f" (counted meanwhile: {', '.join(seen.counted)})" if seen.counted else ""
    return fail(code, f"{what} {text.format(device=device)}{counted}", advice.format(device=device))


def _by(device: str, leaves: str) -> str:
    return f"bound to {device}" if device else f"by {leaves}"


def _own_cgroups() -> tuple[int, ...]:
    text = Path("/proc/thread-self/cgroup").read_text(encoding="utf-8", errors="replace")
    mine = next((line[3:] for line in text.splitlines() if line.startswith("0::")), "/")
    return cgroup_ids(mine) or ()
