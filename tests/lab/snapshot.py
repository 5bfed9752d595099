"""Everything a namespace shows of itself, as lines that can be compared."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections import Counter
from typing import TYPE_CHECKING

from tests.lab import bpfquery
from tests.lab.isolate import BPFFS
from tests.lab.patience import LONG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.lab.namespace import Namespace

Snapshot = dict[str, list[str]]
"""Sections, each a list of lines that say what they are."""

_COMMANDS = {
    "rules4": ("ip", "-4", "-d", "rule"),
    "rules6": ("ip", "-6", "-d", "rule"),
    "routes4": ("ip", "-o", "-4", "-d", "route", "show", "table", "all"),
    "routes6": ("ip", "-o", "-6", "-d", "route", "show", "table", "all"),
    "links": ("ip", "-o", "-d", "link"),
    "addresses": ("ip", "-o", "-d", "address"),
    "neighbours": ("ip", "-o", "neigh", "show", "nud", "permanent"),
    "qdiscs": ("tc", "-d", "qdisc"),
    "nftables": ("nft", "-s", "list", "ruleset"),
}
# Lifetimes count down; the rest is redrawn or counted by the kernel itself, or is one value
# for the whole machine although every namespace shows it.
_NOISE = re.compile(
    r" (?:expires|valid_lft|preferred_lft) \d+sec| state (?:UP|UNKNOWN|DOWN)\b| linkdown\b"
)
_PROGRAM_IDS = re.compile(r" (?:id|prog/xdp id) \d+")
_VOLATILE = re.compile(
    r"net\.netfilter\.nf_conntrack_(?:count|max|expect_max|buckets)"
    r"|net\.netfilter\.nf_hooks_lwtunnel"
    r"|net\.ipv[46]\.route\.flush"
    r"|net\.ipv6\.conf\..*\.stable_secret"
    r"|net\.ipv4\.tcp_(?:available|allowed)_congestion_control"
    r"|net\.mptcp\.available_schedulers"
)


def _lines(argv: Sequence[str]) -> list[str]:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LONG, check=False)
    if done.returncode != 0:
        return [f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip()}"]
    whole = done.stdout.replace("\n ", " ").replace("\n\t", " ")
    return [" ".join(_NOISE.sub("", line).split()) for line in whole.splitlines()]


def _filters(devices: Sequence[str], *, keep_ids: bool) -> list[str]:
    found = []
    for device in devices:
        for hook in ("ingress", "egress"):
            lines = _lines(("tc", "-d", "filter", "show", "dev", device, hook))
            found += [f"{device} {hook}: {line}" for line in lines if line]
    return found if keep_ids else [_PROGRAM_IDS.sub("", line) for line in found]


def sysctls() -> list[str]:
    """All readable ``net.*`` of the namespace this thread is in, without the volatile ones."""
    found = []
    for folder, _, names in os.walk("/proc/sys/net"):
        prefix = folder.removeprefix("/proc/sys/").replace("/", ".")
        for name in names:
            full = f"{prefix}.{name}"
            if _VOLATILE.fullmatch(full):
                continue
            try:
                fd = os.open(f"{folder}/{name}", os.O_RDONLY)
            except OSError:  # write-only
                continue
            try:
                value = os.read(fd, 65536).decode()
            except OSError:  # not for this namespace
                continue
            finally:
                os.close(fd)
            found.append(f"{full} = {' '.join(value.split())}")
    return sorted(found)


def _bpffs() -> list[str]:
    return [str(path.relative_to(BPFFS)) for path in sorted(BPFFS.rglob("*"))]


def snapshot(namespace: Namespace, *, keep_ids: bool = False) -> Snapshot:
    """Look at everything; ids of BPF programs differ from load to load and are left out."""
    with namespace.entered():
        found = {section: _lines(argv) for section, argv in _COMMANDS.items()}
        # Only a device with an ingress or clsact qdisc can have filters on these hooks.
        hooked = [line.split(" dev ")[1].split()[0] for line in found["qdiscs"] if "ffff:" in line]
        found["filters"] = _filters(sorted(set(hooked)), keep_ids=keep_ids)
        found["sysctls"] = sysctls()
        devices = {name: index for index, name in socket.if_nameindex()}
        found["programs"] = bpfquery.attached(namespace.fileno(), devices)
    found["bpffs"] = _bpffs()
    return found


def diff_snapshots(before: Snapshot, after: Snapshot) -> list[str]:
    """What differs, as ``section: - gone`` and ``section: + new``; empty if nothing does."""
    lines = []
    for section in sorted(before.keys() | after.keys()):
        old, new = Counter(before.get(section, [])), Counter(after.get(section, []))
        lines += [f"{section}: - {line}" for line in (old - new).elements()]
        lines += [f"{section}: + {line}" for line in (new - old).elements()]
    return lines
