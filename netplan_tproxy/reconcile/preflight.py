"""What the site file takes for granted, held against the facts. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from netplan_tproxy.datapath.host import Facts
from netplan_tproxy.datapath.programs import ETHERNET, RAW_IP
from netplan_tproxy.errors import SiteError, SiteProblem, TproxyError
from netplan_tproxy.kernel import features
from netplan_tproxy.kernel.host.sysctl import dotted
from netplan_tproxy.site.model import Interface, Site
from netplan_tproxy.site.sections.sysctls import WHOLE_NUMBER
from netplan_tproxy.system.text import shown

FIONREAD = (
    "on this kernel FIONREAD {}, and programs that ask it (nginx, Java, .NET) may stall on a "
    "socket of the fast path; accept: [fionread] takes that risk"
)


def require_facts(site: Site, facts: Facts) -> None:
    """Raise SiteError for unknown users and cgroups, TproxyError for what is unfit here.

    Each line names the place in the file, and that nothing was touched.
    """
    unknown = [
        SiteProblem(site.place(path), path, f"{message}; nothing was touched")
        for path, message in _unknown(site, facts)
    ]
    if unknown:
        raise SiteError(unknown)
    unfit = [
        f"{site.place(path)}: {_as_written(path)}: {why}; nothing was touched"
        for path, why in (
            *_unfit_interfaces(site, facts),
            *_unfit_listeners(site, facts),
            *_unfit_settings(site, facts),
            *_unfit_kernel(facts),
        )
    ]
    unfit += [f"{line}; nothing was touched" for line in _unfit_routes(site, facts)]
    if unfit:
        raise TproxyError("\n".join(unfit))


def _as_written(path: str) -> str:
    key, _, name = path.partition(".")
    return f"{key}.{dotted(name)}" if key == "sysctls" else path


def _unknown(site: Site, facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield path and message of every user and cgroup that is not here."""
    for index, name in enumerate(site.policy.bypass_users):
        if name not in facts.users:
            yield f"bypass.users[{index}]", f"no user {name!r} here"
    cgroups = {f"bypass.cgroups[{i}]": name for i, name in enumerate(site.policy.bypass_cgroups)}
    if site.fastpath.enabled:
        cgroups["fastpath.cgroup"] = site.fastpath.cgroup
    for path, name in cgroups.items():
        if name not in facts.cgroups:
            why = "" if facts.has_cgroup2 else ": no cgroup2 is mounted"
            yield path, f"no cgroup {name!r} here{why}"


def _unfit_interfaces(site: Site, facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield path and message of every interface that can't be intercepted."""
    for interface in site.interfaces:
        if why := _unfit(interface, facts):
            yield f"interfaces.{interface.name}", why


def _unfit_listeners(site: Site, facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield path and message of every listener of a family that this host does not have."""
    for name, listener in site.proxy.listeners.items():
        if listener is not None and name.endswith("6") and not facts.has_ipv6:
            yield f"proxy.{name}", "this host has no IPv6 (it is disabled at boot: ipv6.disable=1)"


def _unfit_routes(site: Site, facts: Facts) -> Iterator[str]:
    """Say which devices of routes are not here; lo always is."""
    there = {"", "lo", *facts.links}
    for route in site.routes:
        for device in (route.dev, *(hop.dev for hop in route.nexthops)):
            if device not in there:
                yield f"{route.place}: route {route.to} table {route.table}: no interface {device}"


def _unfit_settings(site: Site, facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield path and message of every setting that is of numbers, and gets something else."""
    for name, value in site.sysctls:
        now = facts.sysctls.get(name, "")
        count, given = len(now.split()), value.split()
        numbers = all(map(WHOLE_NUMBER.fullmatch, given))
        if _takes_text(name, now) or (numbers and len(given) == count):
            continue
        wanted = "a whole number" if count == 1 else f"{count} whole numbers"
        yield (
            f"sysctls.{name}",
            f"{shown(value)} is not {wanted}, as the {shown(now)} that is there",
        )


# Lists of ports, bit maps in hexadecimal digits, keys: they may look like numbers.
_TEXTS = re.compile(r"net/.*(_ports|_bitmap|_mask|_key|/stable_secret)")


def _takes_text(name: str, now: str) -> bool:
    """Whether a setting is not of numbers, or that is not known."""
    return (
        not now
        or _TEXTS.fullmatch(name) is not None
        or not all(map(WHOLE_NUMBER.fullmatch, now.split()))
    )


def _unfit_kernel(facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield what the file asks for and this kernel does not have, or is not to carry."""
    for path, missing in facts.lacking.items():
        if missing:
            what = {"attach": "tcx"}.get(path, path.partition(".")[0])
            yield path, features.lacking(what, missing)
    if facts.fionread and not facts.lacking.get("fastpath.enabled"):
        yield "fastpath.enabled", FIONREAD.format(facts.fionread)


def _unfit(interface: Interface, facts: Facts) -> str:
    link = facts.links.get(interface.name)
    if link is None:
        there = ", ".join(sorted(facts.links.keys() - {"lo"})) or "none"
        return f"no such interface here (there is: {there})"
    if link.type not in ETHERNET | RAW_IP:
        return f"is of a type that can't be intercepted (ARPHRD {link.type})"
    if link.master:
        names = {other.ifindex: name for name, other in facts.links.items()}
        master = names.get(link.master, "another device")
        return f"belongs to {master}, which has the addresses: intercept on {master} instead"
    return ""
