"""Other programs that manage or change what an apply sets up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from netplan_tproxy.datapath.filter_names import PRIO, is_in_our_place
from netplan_tproxy.inspect.doctor import tcx
from netplan_tproxy.inspect.doctor.finding import Finding, ok, unseen, warn
from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.kernel.host.processes import running
from netplan_tproxy.kernel.netlink.handle import Netlink
from netplan_tproxy.kernel.netlink.tc import CLSACT_EGRESS, CLSACT_INGRESS, FilterRecord
from netplan_tproxy.systemd.networkd import removes_foreign

_CILIUM = ("cilium_host", "cilium_net", "cilium_vxlan")
_PROFILES = Path("/etc/NetworkManager/system-connections")


def examine(target: Target) -> list[Finding]:
    """Look for managers of networks, and for programs on the same hooks."""
    return [_networkd(), *_network_manager(target), *_cilium(target), *_docker(target),
            *_filters(target), *tcx.in_front(target), *tcx.netkit(target)]  # fmt: skip


def _networkd() -> Finding:
    settings = removes_foreign()
    if settings:
        wanted = " and ".join(f"{name}=no" for name in settings)
        return warn(
            "conflicts.networkd",
            "systemd-networkd removes rules and routes of others when it restarts",
            f"`tproxy-apply --install-service` writes a drop-in that says {wanted}",
        )
    return ok("conflicts.networkd", "systemd-networkd does not run here, or leaves ours alone")


def _network_manager(target: Target) -> Iterator[Finding]:
    if not running("NetworkManager"):
        return
    wanted = {one.name for one in target.interfaces}
    try:
        profiles = [path for path in _PROFILES.iterdir() if touches_qdiscs(path, wanted)]
    except PermissionError:
        text = f"NetworkManager runs; {_PROFILES} cannot be read without root"
        yield unseen("conflicts.networkmanager", text, "run it with sudo to see")
        return
    except OSError:
        profiles = []
    for path in profiles:
        yield warn(
            "conflicts.networkmanager",
            f"profile {path.name} has a [tc] section: NetworkManager replaces the qdiscs of its "
            "device, ours too, when it brings it up",
            "remove that section, or apply again from a dispatcher script",
        )
    if not profiles:
        yield ok("conflicts.networkmanager", "NetworkManager runs and leaves qdiscs alone")


def touches_qdiscs(profile: Path, devices: set[str]) -> bool:
    """Whether a keyfile (nm-settings-keyfile(5)) has tc settings for one of the devices."""
    lines = [line.strip() for line in profile.read_text(errors="replace").splitlines()]
    named = [line.partition("=")[2] for line in lines if line.startswith("interface-name=")]
    return "[tc]" in lines and (not named or not devices or bool(devices & set(named)))


def _cilium(target: Target) -> Iterator[Finding]:
    devices = [name for name in _CILIUM if name in target.links]
    if devices:
        yield warn(
            "conflicts.cilium",
            f"Cilium is here ({', '.join(devices)}): its programs use bits 0xffff0f00 of the mark, "
            "and end the chain of filters on the devices it manages",
            "intercept on devices that Cilium does not manage (its --devices), and keep to marks "
            "within 0xff",
        )


def _docker(target: Target) -> Iterator[Finding]:
    if "docker0" not in target.links:
        return
    if target.site is None or "docker0" in target.intercepting("forward"):
        yield ok("conflicts.docker", "Docker is here; its rules and ours do not meet")
        return
    yield ok(
        "conflicts.docker",
        "Docker is here: what its containers send is not intercepted unless the site file has "
        "docker0: {intercept: forward}",
    )


def _filters(target: Target) -> Iterator[Finding]:
    names = ["lo", *(one.name for one in target.interfaces)]
    netlink = Netlink()
    try:
        in_front = [
            (name, record)
            for name in names
            if name in target.links
            for parent in (CLSACT_INGRESS, CLSACT_EGRESS)
            for record in netlink.filters(target.links[name].ifindex, parent)
            if record.prio < PRIO and not is_in_our_place(record)
        ]
    finally:
        netlink.close()
    for name, record in in_front:
        yield warn(
            "conflicts.filters",
            f"{_filter(record)} on {name} runs before ours: if it accepts a packet, ours never "
            "see it",
            f"let it return TC_ACT_UNSPEC (-1) for what it leaves alone, or give it a prio "
            f"above {PRIO}",
        )
    if not in_front:
        yield ok("conflicts.filters", f"no tc filter runs before ours on {', '.join(names)}")


def _filter(record: FilterRecord) -> str:
    return f"filter {record.what} {record.name} (prio {record.prio})".replace("  ", " ")
