"""Our programs: which ones a site needs, where they attach, what identifies them. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from netplan_tproxy.datapath import fastpath
from netplan_tproxy.datapath.layouts import FLOWS, MAPS, SETS, MapLayout
from netplan_tproxy.paths import shared
from netplan_tproxy.site.model import Site

LICENSE = "Dual BSD/GPL"
SOURCE = "tproxy.c"
_SCHED_CLS = fastpath.Type(3, 0)

# What became of a packet, in the order of enum outcome (bpf/tproxy/outcomes.h).
OUTCOMES = (
    "intercepted", "reply", "new", "refused", "down_bypassed", "other_protocol", "no_proxy",
    "vlan", "forwarded", "local", "not_forwarding", "untracked", "not_named", "bypass_mark",
    "bypass_address", "bypass_from", "bypass_to", "bypass_port", "bypass_user",
    "bypass_cgroup", "malformed", "fragment", "fragment_dropped", "no_memory", "no_listener",
    "assign_failed", "time_wait", "icmp", "unconfigured", "other_namespace", "packet_socket",
    "unreadable", "too_long", "not_transparent",
)  # fmt: skip

# ARPHRD numbers (linux/if_arp.h) of devices with an Ethernet header, and with none.
ETHERNET = frozenset({1, 772})
RAW_IP = frozenset({512, 519, 768, 769, 776, 778, 0xFFFE})


@dataclass(frozen=True)
class Place:
    """A hook of a device, and the program that belongs on it."""

    dev: str
    hook: str
    program: str


def places(site: Site, link_types: Mapping[str, int]) -> list[Place]:
    """Give the hooks that a site uses; ``link_types`` are ARPHRD numbers by device."""
    hooks = [Place("lo", "ingress", "lo_ingress"), Place("lo", "egress", "lo_egress")]
    for interface in site.interfaces:
        suffix = "_l3" if link_types[interface.name] in RAW_IP else ""
        side = "lan" if "forward" in interface.intercept else "wan"
        hooks.append(Place(interface.name, "ingress", f"{side}_ingress{suffix}"))
        if "output" in interface.intercept:
            hooks.append(Place(interface.name, "egress", f"wan_egress{suffix}"))
    return hooks


def programs(site: Site, link_types: Mapping[str, int]) -> list[str]:
    """Name the programs that a site needs, each once."""
    wanted = {place.program: None for place in places(site, link_types)}
    return [*wanted, *(fastpath.TYPES if site.fastpath.enabled else ())]


def maps(site: Site) -> tuple[MapLayout, ...]:
    """Give the maps that a site needs."""
    return MAPS + (fastpath.MAPS if site.fastpath.enabled else ())


def source_of(program: str) -> str:
    """Name the file that a program is made from."""
    return fastpath.SOURCE if program in fastpath.TYPES else SOURCE


def type_of(program: str) -> fastpath.Type:
    """Give the type to load a program with."""
    return fastpath.TYPES.get(program, _SCHED_CLS)


def pin_of(program: str) -> str:
    """Name a program's pin: it holds the digest of its source."""
    return f"{program}@{source_digest(source_of(program))}"


def defines(programs: Iterable[str]) -> dict[str, str]:
    """Give the macros that select programs; no others are compiled."""
    return {f"WITH_{name.upper()}": "1" for name in programs}


def bpf_directory() -> Path:
    """Find the BPF sources: in the installed package, else beside it in a checkout."""
    return shared("bpf")


@cache
def program_source(source: str = SOURCE) -> str:
    """Give the programs as one text, each of our own headers put in at its first include.

    BCC rewrites map calls in the main file alone: in a header that it includes by itself
    they would stay calls through a null pointer.
    """
    seen: set[Path] = set()
    return _expanded(bpf_directory() / source, seen)


_INCLUDE = re.compile(r'^#include "([^"]+)"\n', re.MULTILINE)


def _expanded(path: Path, seen: set[Path]) -> str:
    seen.add(path)

    def put_in(match: re.Match[str]) -> str:
        header = bpf_directory() / match[1]
        return "" if header in seen else _expanded(header, seen)

    text = path.read_text(encoding="utf-8").replace("#pragma once\n", "")
    return _INCLUDE.sub(put_in, text)


@cache
def source_digest(source: str = SOURCE) -> str:
    """Identify the programs of a source: their text and the layouts of their maps.

    Returns 12 hexadecimal digits.
    """
    used = MAPS if source == SOURCE else (*fastpath.MAPS, FLOWS, SETS)
    parts = [program_source(source), *(layout.pin for layout in used)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
