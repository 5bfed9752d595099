"""Routes that the programs cannot foresee."""

from __future__ import annotations

from netplan_tproxy.datapath.marked_routes import out_of_sight
from netplan_tproxy.inspect.doctor.finding import Finding, ok, warn
from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.inspect.marked_routes import ADVICE, described


def examine(target: Target) -> list[Finding]:
    """Look for default routes of forwarded traffic that only a mark leads to."""
    devices = target.intercepting("forward")
    if not devices or target.site is None:
        return []
    findings = [
        warn("routes.mark", described(rule, ", ".join(devices)), ADVICE)
        for rule in out_of_sight(target.site.proxy.families, target.intercept_mark)
    ]
    return findings or [
        ok("routes.mark", "no default route depends on a mark that no program follows")
    ]
