"""Interfaces, users and the sysctls that decide whether intercepted packets arrive."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from netplan_tproxy.datapath.host import Facts
from netplan_tproxy.errors import TproxyError
from netplan_tproxy.inspect.doctor.finding import Finding, fail, ok, unseen, warn
from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.kernel.host.sysctl import has_ipv6, read_sysctl
from netplan_tproxy.kernel.host.users_cgroups import cgroup_root, resolve_cgroups, resolve_users
from netplan_tproxy.reconcile.preflight import require_facts
from netplan_tproxy.site.model import Site

_STRICT = 1
Read = Callable[[str], int]


def examine(target: Target) -> list[Finding]:
    """Examine the interfaces, users and cgroups of the site file, then the sysctls."""
    findings = [_writable(target.site)]
    if target.site is None:
        why = "which interfaces and directions matter is not known without a site file"
        return [*findings, unseen("network.interfaces", why)]
    policy = target.site.policy
    facts = Facts(
        dict(target.links),
        resolve_users(policy.bypass_users),
        resolve_cgroups([*policy.bypass_cgroups, *target.site.fastpath_cgroups]),
        has_cgroup2=cgroup_root() is not None,
        has_ipv6=has_ipv6(),
    )
    try:
        require_facts(target.site, facts)
    except TproxyError as refusal:
        lines = str(refusal).splitlines()
        for line in lines:
            text = line.removesuffix("; nothing was touched")
            findings.append(fail("network.interfaces", text, "correct the site file"))
    else:
        names = ", ".join(one.name for one in target.interfaces)
        findings.append(ok("network.interfaces", f"{names}: there, and fit to be intercepted"))
    return [*findings, *traps(target, _number, _best_uplink())]


def traps(target: Target, read: Read, best: str) -> Iterator[Finding]:
    """Return findings on the sysctls that ``read`` shows; ``best`` is the main uplink. Pure.

    Sysctls of the site file count as it will set them.
    """
    site = target.site
    set_there = dict(site.sysctls) if site else {}

    def conf(name: str, device: str) -> int:
        path = f"net/ipv4/conf/{device}/{name}"
        given = set_there.get(path, "")
        return int(given) if given.lstrip("-").isdecimal() else read(path)

    def either(name: str, device: str) -> int:
        return max(conf(name, "all"), conf(name, device))

    if any(name in {"tcp", "udp"} for name, _ in target.listeners):
        yield _accept_local(either)
        yield _reverse_path(target, either, best)
        yield from _behind(target, either, read)
    forwards = target.intercepting("forward")
    if forwards and any(name.endswith("6") for name, _ in target.listeners):
        yield _forwarding6(read)


def _accept_local(either: Callable[[str, str], int]) -> Finding:
    if either("accept_local", "lo"):
        return ok("network.accept_local", "lo accepts packets from addresses of this host")
    return fail(
        "network.accept_local",
        "accept_local is 0 on lo: what this host's own clients send is dropped there",
        "leave net.ipv4.conf.lo.accept_local: 1 in sysctls: of the site file",
    )


def _reverse_path(target: Target, either: Callable[[str, str], int], best: str) -> Finding:
    strict = [
        name
        for name in target.intercepting("output")
        if either("rp_filter", name) == _STRICT and name != best
    ]
    if strict:
        settings = ", ".join(f"net.ipv4.conf.{name}.rp_filter: 2" for name in strict)
        return warn(
            "network.rp_filter",
            f"rp_filter is strict on {', '.join(strict)}, where the best default route does not "
            "lead: replies to clients bound to it are dropped",
            f"put {settings} below sysctls: in the site file",
        )
    return ok("network.rp_filter", "reverse path filtering lets the replies through")


def _behind(target: Target, either: Callable[[str, str], int], read: Read) -> Iterator[Finding]:
    forwards = target.intercepting("forward")
    if not forwards:
        return
    trapped = [
        name
        for name in forwards
        if either("src_valid_mark", name) and not either("accept_local", name)
    ]
    if trapped:
        yield fail(
            "network.src_valid_mark",
            f"src_valid_mark counts on {', '.join(trapped)}: marked packets from behind it look "
            "as if they came from this host, and are dropped",
            "set it to 0 for all and for these (wg-quick sets it for all), or "
            + ", ".join(f"net.ipv4.conf.{name}.accept_local: 1" for name in trapped),
        )
    else:
        yield ok("network.src_valid_mark", "packets from behind pass with their mark")
    if read("net/ipv4/tcp_fwmark_accept"):
        yield fail(
            "network.tcp_fwmark_accept",
            "tcp_fwmark_accept is 1: the proxy's replies carry the mark too and come back to lo "
            "instead of going to the machines behind",
            "set net.ipv4.tcp_fwmark_accept: 0",
        )
    if not read("net/ipv4/ip_forward"):
        yield fail(
            "network.ip_forward",
            f"ip_forward is 0: nothing of the machines behind {', '.join(forwards)} is forwarded, "
            "so nothing is intercepted",
            "put net.ipv4.ip_forward: 1 below sysctls: in the site file",
        )


def _forwarding6(read: Read) -> Finding:
    if read("net/ipv6/conf/all/forwarding"):
        return ok("network.forwarding6", "IPv6 is forwarded")
    return fail(
        "network.forwarding6",
        "net.ipv6.conf.all.forwarding is 0: nothing from behind is intercepted over IPv6",
        "put net.ipv6.conf.all.forwarding: 1 below sysctls: in the site file",
    )


def _writable(site: Site | None = None) -> Finding:
    path = "/proc/sys/net/ipv4/conf/lo/accept_local"
    if os.geteuid() != 0 or os.access(path, os.W_OK):
        return ok("network.sysctls", "sysctls can be read")
    if site is not None and all(read_sysctl(name) == value for name, value in site.sysctls):
        return ok("network.sysctls", "/proc/sys is read-only here, and set as the file asks for")
    return fail(
        "network.sysctls",
        "/proc/sys is read-only here, as in containers without --privileged",
        "set the sysctls from outside (docker run --sysctl …), or mount /proc/sys read-write",
    )


def _number(path: str) -> int:
    value = read_sysctl(path)
    return int(value) if value is not None and value.lstrip("-").isdecimal() else 0


def _best_uplink() -> str:
    """Return the device of the IPv4 default route with the least metric; "" without one."""
    text = Path("/proc/thread-self/net/route").read_text(encoding="ascii")
    return best_uplink(text)


def best_uplink(text: str) -> str:
    """Read it from /proc/net/route (Iface Destination Gateway Flags … Metric Mask). Pure."""
    rows = [line.split() for line in text.splitlines()[1:]]
    defaults = [(int(row[6]), row[0]) for row in rows if row[1] == row[7] == "00000000"]
    return min(defaults, default=(0, ""), key=lambda pair: pair[0])[1]
