"""``--dry-run`` and ``--check``: show the plan, touch nothing."""

from __future__ import annotations

from pathlib import Path

from netplan_tproxy.commands.options import CHECK, Environment, Options
from netplan_tproxy.errors import KernelError, TproxyError
from netplan_tproxy.inspect.surprises import surprises
from netplan_tproxy.kernel.host.capabilities import require_privileges
from netplan_tproxy.output.progress import busy
from netplan_tproxy.output.reporter import Reporter
from netplan_tproxy.reconcile.report import plan_report
from netplan_tproxy.reconcile.session import Session, opened, refuse_impossible, refuse_other_owner
from netplan_tproxy.resource.values import Ledger, Plan
from netplan_tproxy.site.load import load
from netplan_tproxy.site.model import Site
from netplan_tproxy.state.site_record import SiteRecord, diff_report, record_of

PENDING = 2


def carry_out(options: Options, environment: Environment) -> int:
    """Show the plan. Returns 2 for ``--check`` if there are changes. Raises TproxyError."""
    site = wanted(options)
    require_privileges()
    reporter = environment.reporter
    try:
        with opened(
            options.state_dir, reporter.say, environment.interrupts, adopt=options.adopt
        ) as session:
            plan = shown_plan(session, site, session.owned(), options, reporter)
    except KernelError as refusal:
        raise untouched(refusal) from refusal
    return PENDING if options.command == CHECK and plan.changes else 0


def wanted(options: Options) -> Site | None:
    """Read the site file; None for ``--destroy``. Raises SiteError."""
    if options.destroy:
        return None
    with busy(f"reading {options.site}"):
        return load(options.site)


def shown_plan(
    session: Session, site: Site | None, owned: Ledger, options: Options, reporter: Reporter
) -> Plan:
    """Plan the way to ``site`` and show it. Raises TproxyError where there is none."""
    refuse_other_owner(session.state, site, replace=options.replace)
    plan = session.plan(site, owned)
    refuse_impossible(plan)
    if site is not None and plan.changes:
        for line in surprises(site, session.kernel.links()):
            reporter.say(f"! {line}")
    reporter.plan(plan_report(plan))
    if options.diff:
        reporter.site_diff(diff_report(session.state.site_record(), record(site, options)))
    return plan


def record(site: Site | None, options: Options, at: float = 0.0) -> SiteRecord | None:
    """Return the site file as it is kept beside the ledger; ``at`` in seconds since 1970."""
    return record_of(site, str(Path(options.site).absolute()), at) if site else None


def untouched(refusal: KernelError) -> TproxyError:
    """Return the error for a refusal of the kernel before the first change."""
    # A failed undo is a NotPutBackError, not a KernelError.
    return TproxyError(f"{refusal}; nothing was touched")
