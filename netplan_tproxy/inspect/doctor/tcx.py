"""Programs of others that run before ours on the same hooks (tcx), or in the device (netkit)."""

from __future__ import annotations

from collections.abc import Iterator

from netplan_tproxy.datapath.pinned_links import PinnedLinks
from netplan_tproxy.datapath.pins import Pins
from netplan_tproxy.inspect.doctor.finding import Finding, unseen, warn
from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.kernel.bpf import tcx
from netplan_tproxy.kernel.netlink.handle import Netlink


def in_front(target: Target) -> Iterator[Finding]:
    """Name the tcx programs that run before ours on the devices of the site, and on lo."""
    if not target.privileged:
        text = "tcx programs cannot be listed without CAP_NET_ADMIN"
        yield unseen("conflicts.tcx", text, "run it with sudo to see")
        return
    attached = PinnedLinks(Pins()).attached()
    for name in ("lo", *(one.name for one in target.interfaces)):
        ifindex = target.links[name].ifindex if name in target.links else 0
        for hook in tcx.HOOKS:
            there = tcx.programs(ifindex, hook) if ifindex else []
            ours = attached.get((ifindex, hook))
            before = there[: there.index(ours)] if ours in there else there
            if before:
                yield judged(f"{name} {hook}", before, target, linked=ours in there)


def judged(where: str, before: list[int], target: Target, *, linked: bool) -> Finding:
    """Judge what runs before ours at a hook; ``linked``: ours is a tcx program too. Pure."""
    code = "conflicts.tcx"
    numbers = ", ".join(map(str, before))
    see = "see `bpftool net`"
    if linked:
        return warn(
            code,
            f"tcx programs of others run before ours on {where} (ids {numbers}), attached later: "
            "what they accept (TCX_PASS) does not come to ours",
            f"{see}; let them return TCX_NEXT for what they leave alone, or be attached behind "
            "others (BPF_F_AFTER)",
        )
    text = (
        f"tcx programs on {where} run before every tc filter (ids {numbers}): what they accept "
        "(TCX_PASS) does not come to ours"
    )
    if target.site is not None and target.site.attach == "clsact":
        return warn(
            code, text, f"{see}; `attach: auto` in the site file puts ours in front of them"
        )
    return warn(code, text, f"{see}; apply (again): `attach: auto` puts ours in front of them")


def netkit(target: Target) -> Iterator[Finding]:
    """Warn of interfaces of the site that are netkit devices."""
    netlink = Netlink()
    try:
        found = [one.name for one in target.interfaces if netlink.link_kind(one.name) == "netkit"]
    finally:
        netlink.close()
    for name in found:
        yield warn(
            "conflicts.netkit",
            f"{name} is a netkit device: a socket that bpf_sk_assign gives to a packet does not "
            "come through it (Cilium refuses netkit with TPROXY, too: cilium#39892)",
            "intercept on the uplink, or let the pair be of veth",
        )
