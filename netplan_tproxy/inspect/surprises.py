"""What will surprise whoever applies a site file: said when something changes, a line each."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

from netplan_tproxy.datapath.build import demands_transparency
from netplan_tproxy.datapath.marked_routes import out_of_sight
from netplan_tproxy.datapath.pinned_links import PinnedLinks
from netplan_tproxy.datapath.pins import Pins
from netplan_tproxy.errors import KernelError
from netplan_tproxy.inspect.marked_routes import ADVICE, described
from netplan_tproxy.inspect.shared_ports import refused_listeners
from netplan_tproxy.kernel.host.sysctl import read_sysctl
from netplan_tproxy.kernel.netlink.links import Link
from netplan_tproxy.kernel.netlink.route_get import way_to
from netplan_tproxy.kernel.sockets import listeners
from netplan_tproxy.kernel.sockets.diag import Socket
from netplan_tproxy.site.caution import warnings
from netplan_tproxy.site.model import AF_INET, AF_INET6, Listener, Site

# Addresses that nothing is sent to: only the way there is asked for.
_FAR = {AF_INET: "1.1.1.1", AF_INET6: "2606:4700:4700::1111"}
_DOWN = {
    "drop": "are refused",
    "bypass": "go out directly",
}


def surprises(site: Site, links: Mapping[str, Link], *, listening: bool = True) -> list[str]:
    """Give them for people; ``listening``: look at the listeners too.

    Raises KernelError where the kernel can't be asked.
    """
    names = {link.ifindex: name for name, link in links.items()}
    out = {family: _way_out(target, names) for family, target in _FAR.items()}
    routed = [family for family, device in out.items() if device]
    return [
        *(str(warning) for warning in warnings(site, routed)),
        *(unheard(site) if listening else ()),
        *_elsewhere(site),
        *_trusting(),
        *_forwarding(site, links),
        *_not_named(site, out),
        *_marked_away(site),
        *_unasked(site, links),
    ]


def unheard(site: Site) -> Iterator[str]:
    """Name the listeners of the file that are missing, or that get nothing."""
    everybody = listeners.all_listeners()
    for name, listener in site.proxy.listeners.items():
        if listener is not None:
            protocol = name.removesuffix("6")
            there = listeners.at(everybody, protocol, listener.address, listener.port)
            when_down, demanded = site.proxy.when_down, demands_transparency()
            yield from heard(name, listener, there, when_down, demanded=demanded)
            if refused_listeners(there[:1]):
                yield (
                    f"{protocol} {listener} shares its port (SO_REUSEPORT), and Linux before 6.6 "
                    "gives such a listener nothing: let the proxy listen without it (HAProxy: "
                    "'noreuseport' in its global section)"
                )


def _elsewhere(site: Site) -> Iterator[str]:
    """Name each listener that nobody has, at an address that this host has not."""
    everybody = listeners.all_listeners()
    for name, listener in site.proxy.listeners.items():
        if listener is None or ipaddress.ip_address(listener.address).is_unspecified:
            continue
        there = listeners.at(everybody, name.removesuffix("6"), listener.address, listener.port)
        if not there and _type(listener.address) != "local" and not _binds_anywhere(site, name):
            path = f"proxy.{name}.address"
            yield (
                f"{site.place(path)}: {path}: {listener.address} is not an address of this host, "
                "and nobody listens there: only a transparent socket can be bound to it, or one "
                "that starts once the address is there"
            )


def _binds_anywhere(site: Site, name: str) -> bool:
    path = f"net/{'ipv6' if name.endswith('6') else 'ipv4'}/ip_nonlocal_bind"
    return (dict(site.sysctls).get(path) or read_sysctl(path)) == "1"


def heard(
    name: str, listener: Listener, there: list[Socket], when_down: str, *, demanded: bool = True
) -> Iterator[str]:
    """Judge the sockets at the place of a listener, the one that counts first. Pure.

    ``demanded``: the programs ask for a transparent socket.
    """
    protocol = name.removesuffix("6")
    if not there:
        yield f"nobody listens on {protocol} {listener}: new connections {_DOWN[when_down]}"
        return
    first = there[0]
    if first.transparent is not False:
        return
    if demanded:
        fate = f"gets nothing, and new connections {_DOWN[when_down]}"
    elif name == "tcp6":
        return  # answers from a foreign address all the same
    else:
        fate = "connections time out"
    yield (
        f"{protocol} {listener} is not a transparent socket: {fate}; let the proxy set "
        "IP_TRANSPARENT (its 'tproxy' or 'transparent' setting, and CAP_NET_ADMIN)"
    )


def _trusting() -> Iterator[str]:
    if not demands_transparency():
        yield (
            "this kernel doesn't let a program see whether a socket is transparent (no BTF, or "
            "lockdown before Linux 6.2): any user's socket on the proxy's address and port "
            "gets everything"
        )


def _forwarding(site: Site, links: Mapping[str, Link]) -> Iterator[str]:
    asked = dict(site.sysctls)
    families = {"ipv4": ("tcp", "udp"), "ipv6": ("tcp6", "udp6")}
    for interface in site.interfaces:
        if "forward" not in interface.intercept or interface.name not in links:
            continue
        for family, names in families.items():
            if not any(site.proxy.listeners[name] for name in names):
                continue
            path = f"net/{family}/conf/{interface.name}/forwarding"
            general = "net/ipv4/ip_forward" if family == "ipv4" else "net/ipv6/conf/all/forwarding"
            value = asked.get(path) or asked.get(general) or read_sysctl(path)
            if value == "0":
                yield (
                    f"this host does not forward what comes in by {interface.name} "
                    f"({path.replace('/', '.')} is 0), so it is left alone"
                )


def _not_named(site: Site, out: Mapping[int, str]) -> Iterator[str]:
    """Name the devices that default routes leave by, and that the file does not know."""
    named = {one.name for one in site.interfaces if "output" in one.intercept}
    served = {AF_INET: ("tcp", "udp"), AF_INET6: ("tcp6", "udp6")}
    for family, device in out.items():
        listens = any(site.proxy.listeners[name] for name in served[family])
        if named and listens and device and device not in named:
            version = "IPv6 " if family == AF_INET6 else ""
            yield (
                f"the {version}default route leaves by {device}, which the file does not name: "
                "traffic that leaves there is left alone"
            )


def _marked_away(site: Site) -> Iterator[str]:
    devices = [one.name for one in site.interfaces if "forward" in one.intercept]
    if devices:
        for rule in out_of_sight(site.proxy.families, site.intercept_mark):
            yield f"{described(rule, ', '.join(devices))}; {ADVICE}"


def _unasked(site: Site, links: Mapping[str, Link]) -> Iterator[str]:
    """Name the hooks on which others' tcx programs run before our filters."""
    if site.attach != "clsact":
        return
    names = {link.ifindex: name for name, link in links.items() if name in site.devices}
    for (ifindex, hook), there in PinnedLinks(Pins()).foreign(names).items():
        yield (
            f"tcx programs of others run before every filter on {names[ifindex]} {hook} (ids "
            f"{', '.join(map(str, there))}): what they accept is not intercepted; attach: auto "
            "puts ours in front of them"
        )


def _type(target: str) -> str:
    try:
        return way_to(target).type
    except KernelError:  # a family that this host does not have
        return ""


def _way_out(target: str, names: Mapping[int, str]) -> str:
    try:
        way = way_to(target)
    except KernelError:  # a family that this host does not have
        return ""
    return names.get(way.ifindex, "") if way.type == "unicast" else ""
