"""Whether what machines behind this host send comes to the proxy: a packet is let in.

For each interface with ``forward`` and each listener one frame, as if the wire had brought it
from a machine of that network. Nothing answers it, so nothing goes out: what a firewall here
rejects, or what is not intercepted, may have this host ask for that machine's address, no more.
"""

from __future__ import annotations

from collections.abc import Iterator

from netplan_tproxy.checks import interception
from netplan_tproxy.checks.interception import Passage, passage_from_behind
from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.layouts import ConfigValue
from netplan_tproxy.datapath.programs import ETHERNET
from netplan_tproxy.datapath.set_lookup import SetLookup
from netplan_tproxy.inspect.decision import INTERCEPTED, Flow, decide
from netplan_tproxy.inspect.doctor.finding import Finding, fail, ok, unseen
from netplan_tproxy.inspect.doctor.probes import candidates
from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.inspect.status import read_config
from netplan_tproxy.kernel.sockets.devices import networks_of

_SECONDS = 0.4
_PORT = 40000
_FEWEST = 4  # addresses of a network with room for a neighbour
_WHY = {
    interception.LOST: "is marked by our program, and lost before the proxy's socket: something "
    "on the way changes its mark or drops it (PREROUTING, INPUT), or routes it otherwise",
    interception.NOT_SEEN: "is not taken by our program at the ingress of {device}: another filter "
    "takes it first, or this host does not forward",
}
_ADVICE = (
    "`nft list ruleset`, `iptables-save`, `ip rule` and `tc filter show dev {device} ingress` "
    "show what is on the way"
)


def examine(target: Target) -> list[Finding]:
    """Let the packets in."""
    devices = target.intercepting("forward")
    if not (target.privileged and target.site and devices):
        return []
    with Kernel() as kernel:
        config = read_config(kernel)
        if config is None:
            return []
        with SetLookup(kernel.bpf.sets) as sets:
            return [
                one
                for name, _ in target.listeners
                for device in devices
                for one in _one(target, config, sets, name, device)
            ]


def _one(
    target: Target, config: ConfigValue, sets: SetLookup, name: str, device: str
) -> Iterator[Finding]:
    protocol, version = name.removesuffix("6"), 6 if name.endswith("6") else 4
    kind = {"tcp": "a connection", "udp": "a datagram"}[protocol]
    what = f"{kind} over IPv{version} from behind {device}"
    link, policy = target.links[device], target.site.policy if target.site else None
    source = _neighbour(device, version)
    if link.type not in ETHERNET or not source or policy is None:
        why = (
            f"{device} has no network of that family"
            if not source
            else "it is not an Ethernet device"
        )
        yield unseen(f"behind.{name}", f"{what}: none was let in, as {why}")
        return
    for address, port in candidates(policy, version):
        flow = Flow(protocol, source, address, port, local=False)
        if decide(config, flow, sets.matched)[-1].outcome == INTERCEPTED:
            seen = passage_from_behind(protocol, (source, _PORT), (address, port), device, _SECONDS)
            yield judged(name, what, device, seen)
            return
    text = f"{what}: none was let in, as nothing from {source} is known to be intercepted"
    yield unseen(f"behind.{name}", text)


def judged(name: str, what: str, device: str, seen: Passage) -> Finding:
    """Judge what became of a packet. Pure."""
    code = f"behind.{name}"
    if seen.fate == interception.ARRIVES:
        return ok(code, f"{what} is taken, and comes to where the proxy listens")
    if seen.fate == interception.REFUSED:
        return unseen(code, f"{what} is refused, as nobody listens", "start the proxy")
    if seen.fate == interception.NOT_SENT:
        return unseen(code, f"{what}: none was let in, as {seen.why}")
    counted = f" (counted meanwhile: {', '.join(seen.counted)})" if seen.counted else ""
    text = f"{what} {_WHY[seen.fate].format(device=device)}{counted}"
    return fail(code, text, _ADVICE.format(device=device))


def _neighbour(device: str, version: int) -> str:
    """Name an address of the device's network that is not its own; "": there is none."""
    for own in networks_of(device):
        if own.version != version or own.is_link_local or own.network.num_addresses < _FEWEST:
            continue
        last = own.network[-2]
        return str(last if last != own.ip else own.network[-3])
    return ""
