"""Whether this kernel carries the fast path, and whether all that want it have a place in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from netplan_tproxy.datapath import fionread, trials
from netplan_tproxy.datapath.fastpath import MOST_CONNECTIONS
from netplan_tproxy.datapath.fastpath_counters import fast_counters
from netplan_tproxy.datapath.pinned_maps import PinnedMaps
from netplan_tproxy.datapath.pins import Pins
from netplan_tproxy.inspect.doctor.finding import Finding, fail, ok, unseen, warn
from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.kernel import features
from netplan_tproxy.kernel.features import Feature
from netplan_tproxy.reconcile.preflight import FIONREAD
from netplan_tproxy.site.model import Fastpath

_OFF = "set fastpath: {enabled: false}"


def examine(target: Target) -> list[Finding]:
    """Try the helpers and FIONREAD, and read the counters; nothing where it is off."""
    if target.site is None or not target.site.fastpath.enabled:
        return []
    if not target.privileged:
        said = "what the fast path needs was not tried: that takes CAP_BPF"
        return [unseen("fastpath.helpers", said, "run it with sudo to see")]
    return [
        helpers(trials.missing_for_fastpath()),
        counted(target.site.fastpath, fionread.fault()),
        room(fast_counters(PinnedMaps(Pins()))),
    ]


def helpers(missing: Collection[Feature]) -> Finding:
    """Judge which helpers are missing."""
    code = "fastpath.helpers"
    if missing:
        text = features.lacking("fastpath", missing)
        return fail(code, text, f"use a newer kernel, or {_OFF}")
    since = features.written(features.needed(features.FASTPATH).since)
    return ok(code, f"all helpers that the fast path calls are there (since Linux {since})")


def counted(wanted: Fastpath, fault: str) -> Finding:
    """Judge what FIONREAD gets wrong. Pure."""
    code = "fastpath.fionread"
    if not fault:
        return ok(code, "FIONREAD counts what waits on a socket of the fast path")
    if wanted.relies_on_fionread:
        text = FIONREAD.format(fault).partition(";")[0]
        return fail(code, text, f"{_OFF}, or accept: [fionread] there to take the risk")
    text = f"FIONREAD {fault} on a socket of the fast path: the site file accepts that"
    return warn(code, text, "keep nginx, Java and .NET out of it, by fastpath.cgroup or ports")


def room(counts: Mapping[str, int] | None) -> Finding:
    """Judge whether connections came for which there was no place. Pure."""
    code = "fastpath.room"
    if counts is None:
        return ok(code, f"not set up yet; it will have room for {MOST_CONNECTIONS} connections")
    text = f"{counts['connections']} connections take part, {counts['most_connections']} at most"
    if not counts["refused_full"]:
        return ok(code, text)
    text += f"; {counts['refused_full']} came while it was full, and go over TCP"
    return warn(code, text, "leave out who needs it least, by fastpath.cgroup or ports")
