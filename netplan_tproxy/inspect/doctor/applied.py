"""Whether the kernel still is as it was applied, and what a file leaves to chance."""

from __future__ import annotations

from netplan_tproxy.inspect.doctor.finding import Finding, fail, ok, unseen, warn
from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.inspect.surprises import surprises
from netplan_tproxy.reconcile.drift import Drift, drift
from netplan_tproxy.reconcile.report import change_line
from netplan_tproxy.reconcile.session import opened
from netplan_tproxy.system.signals import Interrupts

_MOST = 12
_REPAIR = "tproxy-apply {file}"


def examine(target: Target) -> list[Finding]:
    """Compare what is set up with the site file, or with what was applied."""
    findings = []
    if target.site is not None:
        findings += [
            warn("applied.surprise", line, "if it is not meant so, correct the site file")
            for line in surprises(target.site, target.links, listening=False)
        ]
    if not target.privileged:
        return [*findings, unseen("applied.drift", "what is set up can't be read", "use sudo")]
    with opened(target.state_dir, lambda _: None, Interrupts()) as session:
        if session.state.site_record() is None and not session.state.ledger():
            return [*findings, unseen("applied.drift", "nothing is set up here yet")]
        name = target.site.source if target.site else ""
        return [*findings, *judged(drift(session, name))]


def judged(difference: Drift) -> list[Finding]:
    """Judge a difference. Pure."""
    if difference.plan is None:
        return [unseen("applied.drift", f"{difference.file}: {difference.why}")]
    advice = _REPAIR.format(file=difference.file)
    lines = [
        *(change_line(change) for change in difference.plan.changes),
        *difference.plan.conflicts,
        *difference.plan.impossible,
    ]
    if not lines:
        return [ok("applied.drift", f"the kernel is as {difference.file} says")]
    more = len(lines) - _MOST
    shown = [*lines[:_MOST], *([f"and {more} more changes"] if more > 0 else [])]
    return [
        fail("applied.drift", f"not as {difference.file} says: {line}", advice) for line in shown
    ]
