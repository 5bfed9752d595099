"""Settings that change others when they are written. Pure.

The kernel (net/ipv4/devinet.c, net/ipv6/addrconf.c) has no list of them: a test writes every
setting below ``net`` and compares.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache

# What a member becomes when its leader is written, from the leader's new value and the
# member's old one; None: the kernel works it out.
Becomes = Callable[[str, str], str | None]


def follows(value: str, _old: str) -> str:
    """Give the leader's value."""
    return value


def same(value: str, _old: str) -> str:
    """Give the leader's value: the two are names of one setting."""
    return value


def opposes(value: str, _old: str) -> str:
    """Give 0 for 1, and 1 for 0."""
    return "1" if value == "0" else "0"


def stays(_value: str, old: str) -> str:
    """Give the old value: it may be lost, and is to stay."""
    return old


def derived(_value: str, _old: str) -> None:
    """Give nothing: the kernel reckons it from the leader's value."""


_FORWARD = {
    "net/ipv4/conf//forwarding": follows,
    "net/ipv4/conf/all/accept_redirects": opposes,
}
# Patterns of leaders, each with its members: // stands for "default" and every interface, /./
# for every interface.
_FAMILIES: tuple[tuple[str, Mapping[str, Becomes]], ...] = (
    # One value with two names.
    ("net/ipv4/ip_forward", {**_FORWARD, "net/ipv4/conf/all/forwarding": same}),
    ("net/ipv4/conf/all/forwarding", {**_FORWARD, "net/ipv4/ip_forward": same}),
    (
        "net/ipv6/conf/all/(forwarding|disable_ipv6|addr_gen_mode|ignore_routes_with_linkdown)",
        {r"net/ipv6/conf//\1": follows},
    ),
    ("net/ipv6/conf/all/force_forwarding", {"net/ipv6/conf/./force_forwarding": follows}),
    # Interfaces without an address take it over, unless theirs was written once: which of
    # them will, nobody can tell. It is meant for those to come, so the others keep theirs.
    ("net/ipv4/conf/default/(?!forwarding$)([^/]+)", {r"net/ipv4/conf//\1": stays}),
    ("net/(ipv[46])/neigh/default/([^/]+)", {r"net/\1/neigh//\2": stays}),
    (
        "net/ipv6/conf/(default|[^/]+)/stable_secret",
        {r"net/ipv6/conf/\1/addr_gen_mode": derived},
    ),
    ("net/ipv6/conf/default/stable_secret", {"net/ipv6/conf//addr_gen_mode": derived}),
    # The same in another unit.
    (r"(.*/(?:base_reachable|retrans)_time|net/ipv6/route/gc_min_interval)", {r"\1_ms": derived}),
    (r"(.*/(?:base_reachable|retrans)_time|net/ipv6/route/gc_min_interval)_ms", {r"\1": derived}),
    (r"(.*/unres_qlen)", {r"\1_bytes": derived}),
    (r"(.*/unres_qlen)_bytes", {r"\1": derived}),
    ("net/mptcp/pm_type", {"net/mptcp/path_manager": derived}),
    ("net/mptcp/path_manager", {"net/mptcp/pm_type": derived}),
)
_OF_INTERFACE = re.compile("net/ipv[46]/(?:conf|neigh)/([^/]+)/[^/]+")
_SWITCH = re.compile("net/ipv6/conf/([^/]+)/disable_ipv6")
_PATTERNS = tuple((re.compile(leader), members) for leader, members in _FAMILIES)


def family(leader: str, interfaces: Iterable[str]) -> dict[str, Becomes]:
    """Give what writing ``leader`` may change, by path; not all of it need exist."""
    members: dict[str, Becomes] = {}
    devices = list(interfaces)
    for path, how in _templates(leader):
        paths = [path]
        if "//" in path:
            paths = [path.replace("//", f"/{name}/") for name in ("default", *devices)]
        elif "/./" in path:
            paths = [path.replace("/./", f"/{name}/") for name in devices]
        members |= dict.fromkeys(paths, how)
    members.pop(leader, None)
    return members


@cache
def _templates(leader: str) -> list[tuple[str, Becomes]]:
    matches = ((pattern.fullmatch(leader), members) for pattern, members in _PATTERNS)
    return [
        (match.expand(template), how)
        for match, members in matches
        if match
        for template, how in members.items()
    ]


def becomes(leader: str, member: str) -> Becomes | None:
    """Say what writing ``leader`` makes of another setting; None: nothing."""
    name = interface_of(member)
    return family(leader, [name] if name else []).get(member)


def ipv6_switch(path: str) -> str:
    """Name the interface that a setting switches IPv6 off on, or "all"; "" for others."""
    match = _SWITCH.fullmatch(path)
    return match[1] if match and match[1] != "default" else ""


def interface_of(path: str) -> str:
    """Name the interface that a setting is of; "" for one of all, of none, or of those to come."""
    match = _OF_INTERFACE.fullmatch(path)
    return match[1] if match and match[1] not in {"all", "default"} else ""
