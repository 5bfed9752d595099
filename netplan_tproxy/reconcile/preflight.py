"""What the site file takes for granted, held against the facts. Pure."""

from __future__ import annotations

from netplan_tproxy.datapath.host import Facts
from netplan_tproxy.datapath.programs import ETHERNET, RAW_IP
from netplan_tproxy.errors import SiteError, TproxyError
from netplan_tproxy.site.model import Interface, Site


def require_facts(site: Site, facts: Facts) -> None:
    """Raise SiteError for unknown users and cgroups, TproxyError for unfit interfaces.

    Each line names the place in the file, and that nothing was touched.
    """
    unknown = [
        f"{_place(site, f'bypass.users[{index}]')}: no user {name!r} here"
        for index, name in enumerate(site.policy.bypass_users)
        if name not in facts.users
    ]
    unknown += [
        f"{_place(site, f'bypass.cgroups[{index}]')}: no cgroup {path!r} here"
        for index, path in enumerate(site.policy.bypass_cgroups)
        if path not in facts.cgroups
    ]
    unknown += [
        f"{_place(site, 'fastpath.cgroup')}: no cgroup {path!r} here"
        for path in site.fastpath_cgroups
        if path not in facts.cgroups
    ]
    if unknown:
        raise SiteError([f"{line}; nothing was touched" for line in unknown])
    unfit = [
        f"{_place(site, f'interfaces.{interface.name}')}: {why}; nothing was touched"
        for interface in site.interfaces
        if (why := _unfit(interface, facts))
    ]
    if unfit:
        raise TproxyError("\n".join(unfit))


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


def _place(site: Site, path: str) -> str:
    line, column = site.where.get(path, (1, 1))
    return f"{site.source}:{line}:{column}: {path}"
