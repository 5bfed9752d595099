"""``--dry-run`` and ``--check``: show the plan, change nothing."""

from __future__ import annotations

from pathlib import Path

from netplan_tproxy.commands.options import APPLY, CHECK, DIFFERS, UNHEARD, Environment, Options
from netplan_tproxy.errors import ConflictError, KernelError, TproxyError
from netplan_tproxy.inspect.meaning import difference
from netplan_tproxy.inspect.surprises import surprises, unheard
from netplan_tproxy.kernel.host.capabilities import require_privileges
from netplan_tproxy.output.progress import busy
from netplan_tproxy.output.reporter import Reporter
from netplan_tproxy.reconcile.report import plan_report
from netplan_tproxy.reconcile.session import Session, opened, refuse_impossible, refuse_other_owner
from netplan_tproxy.resource.values import Ledger, Plan
from netplan_tproxy.site.load import load
from netplan_tproxy.site.model import Site
from netplan_tproxy.state.site_record import SiteRecord, diff_report, record_of
from netplan_tproxy.system.text import printable


def carry_out(options: Options, environment: Environment) -> int:
    """Show the plan. Returns what ``--check`` exits with. Raises TproxyError."""
    site = wanted(options)
    require_privileges()
    reporter, checks = environment.reporter, options.command == CHECK
    try:
        with opened(
            options.state_dir, reporter.say, environment.interrupts,
            adopt=options.adopt, cache=options.cache,
        ) as session:  # fmt: skip
            plan = shown_plan(session, site, session.owned(), options, reporter)
            asked = site if checks and not plan.changes else None
            missing = list(unheard(asked)) if asked else []
            for line in missing:
                reporter.say(f"! {line}")
    except KernelError as refusal:
        raise untouched(refusal) from refusal
    if not checks:
        return 0
    return DIFFERS if plan.changes else UNHEARD if missing else 0


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
    if options.destroy and options.site_named:
        _refuse_other_file(session.state.site_record(), options.site)
    plan = session.plan(site, owned)
    refuse_impossible(plan)
    if options.command in {APPLY, CHECK}:
        _require_compiler(session, plan)
    before, after = session.state.site_record(), record(site, options)
    if plan.changes:
        reporter.means(difference(before, after))
    if site is not None and plan.changes:
        for line in surprises(site, session.kernel.links()):
            reporter.say(f"! {line}")
    reporter.plan(plan_report(plan))
    if options.diff:
        reporter.site_diff(diff_report(before, after))
    return plan


def _require_compiler(session: Session, plan: Plan) -> None:
    """Raise TproxyError where programs are to be compiled, and no compiler is here."""
    pins = [c.id.key for c in plan.changes if c.id.kind == "program" and c.after]
    session.kernel.bpf.programs.require_compiler(pins)


def _refuse_other_file(applied: SiteRecord | None, path: str) -> None:
    """Raise ConflictError where a destroy names a file, and something else is set up here.

    The file that was applied may have changed since, or be gone. Raises SiteError.
    """
    named = str(Path(path).absolute())
    if applied is None or applied.source == named:
        return
    if record_of(load(path), named, 0.0).values != applied.values:
        message = (
            f"{printable(path)} does not describe what is set up here, site '{applied.name}' of "
            f"{applied.source}: --destroy without a file takes that away; nothing was touched"
        )
        raise ConflictError([message])


def record(site: Site | None, options: Options, at: float = 0.0) -> SiteRecord | None:
    """Return the site file as it is kept beside the ledger; ``at`` in seconds since 1970."""
    return record_of(site, str(Path(options.site).absolute()), at) if site else None


def untouched(refusal: KernelError) -> TproxyError:
    """Return the error for a refusal of the kernel before the first change."""
    # A failed undo is a NotPutBackError, not a KernelError.
    return TproxyError(f"{refusal}; nothing was touched")
