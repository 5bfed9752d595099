"""``tproxy-apply site.yaml`` and ``--destroy``: make the kernel so, all or nothing."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from netplan_tproxy.checks.run import asked_before
from netplan_tproxy.commands import confirm, held
from netplan_tproxy.commands.options import Environment, Options
from netplan_tproxy.commands.plan import record, shown_plan, untouched, wanted
from netplan_tproxy.commands.rollback import go_back
from netplan_tproxy.errors import KernelError, NotPutBackError, RolledBackError, TproxyError
from netplan_tproxy.kernel.host.capabilities import require_privileges
from netplan_tproxy.output.progress import busy
from netplan_tproxy.reconcile import transaction
from netplan_tproxy.reconcile.cut_off import end_lost, in_all
from netplan_tproxy.reconcile.outcome import APPLIED, HELD
from netplan_tproxy.reconcile.report import pending_report
from netplan_tproxy.reconcile.session import Session, opened
from netplan_tproxy.resource.values import Change, Ledger, Plan, ledger_to_json
from netplan_tproxy.site.model import Site
from netplan_tproxy.state.site_record import SiteRecord
from netplan_tproxy.systemd.networkd import removes_foreign


def carry_out(options: Options, environment: Environment) -> int:
    """Apply the site file, or nothing of ours for ``--destroy``. Raises TproxyError."""
    begun = time.monotonic()
    site = wanted(options)
    require_privileges()
    say, interrupts = environment.reporter.say, environment.interrupts
    try:
        with opened(
            options.state_dir, say, interrupts, adopt=options.adopt, cache=options.cache
        ) as session:
            with session.state.lock(options.lock_timeout):
                session.set_damage_aside()
                held.refuse_while_pending(session.state)
                if session.state.pending() is not None:  # its watchdog is gone
                    go_back(session, environment)
                waiting = _Apply(session, site, options, environment, begun).run()
            if waiting is not None and options.detach:
                environment.reporter.pending(pending_report(waiting.pending))
            elif waiting is not None:
                confirm.await_confirmation(session.state, waiting, say)
                environment.outcome.now = APPLIED
    except KernelError as refusal:
        raise untouched(refusal) from refusal
    return 0


@dataclass(frozen=True)
class _Apply:
    session: Session
    site: Site | None
    options: Options
    environment: Environment
    begun: float

    def run(self) -> held.Held | None:
        """Plan, show the plan and carry it out; return the held change, with ``--confirm``."""
        session, state = self.session, self.session.state
        owned = session.owned()
        begun = state.interrupted()
        if begun:
            state.commit(owned)
        plan = shown_plan(session, self.site, owned, self.options, self.environment.reporter)
        new = record(self.site, self.options, time.time())
        if plan.changes:
            waiting = self._execute(plan, owned, new, in_all(begun, plan))
            what = "taken away" if self.site is None else "applied"
            self.environment.reporter.done(what, time.monotonic() - self.begun)
            return waiting
        if ledger_to_json(plan.ledger or {}) != ledger_to_json(state.ledger()) or _says_otherwise(
            new, state.site_record()
        ):
            state.commit(plan.ledger or {}, new)
        self._end_lost(in_all(begun, plan))
        _settle(session, plan.ledger or {})
        return None

    def _end_lost(self, changes: Sequence[Change]) -> None:
        if said := end_lost(changes, self.session.kernel):
            self.environment.reporter.say(said)

    def _execute(
        self, plan: Plan, owned: Ledger, new: SiteRecord | None, changes: Sequence[Change]
    ) -> held.Held | None:
        """Carry the plan out; ``changes`` are its own, and what a killed run had begun of them."""
        session, say = self.session, self.environment.reporter.say
        if self.site is not None:
            _warn_of_networkd(say)
        checks = [*self.options.checks, *(self.site.checks if self.site else ())]
        accept = asked_before(checks, say)
        holds: list[held.Held] = []
        try:
            transaction.execute(
                plan, session.kinds, session.kernel, session.state, self.environment.interrupts,
                building=partial(busy, "building maps and programs"),
                accept=accept,
                finish=self._finish(plan.ledger or {}, new, changes, holds),
            )  # fmt: skip
        except RolledBackError:
            with contextlib.suppress(TproxyError):
                transaction.settle(owned, session.kinds, session.kernel)
            raise
        if not holds:
            self._end_lost(changes)
            _settle(session, plan.ledger or {})
        return holds[0] if holds else None

    def _finish(
        self,
        ledger: Ledger,
        new: SiteRecord | None,
        changes: Sequence[Change],
        holds: list[held.Held],
    ) -> Callable[[Sequence[Change]], None]:
        """Return what ends the transaction: it commits the change, or holds it (``--confirm``)."""
        state, seconds = self.session.state, self.options.confirm
        outcome = self.environment.outcome

        def commit(_: Sequence[Change]) -> None:
            state.commit(ledger, new)
            outcome.now = APPLIED
            self.environment.interrupts.over()

        def hold(made: Sequence[Change]) -> None:
            endings = held.Endings(
                undo=partial(_undo, self.session, made),
                kept=partial(end_lost, changes, self.session.kernel),
            )
            holds.append(held.hold(state, ledger, new, seconds or 0.0, endings))
            outcome.now = HELD

        return commit if seconds is None else hold


def _settle(session: Session, ledger: Ledger) -> None:
    """Drop what only an undo would need, once the change is committed."""
    try:
        transaction.settle(ledger, session.kinds, session.kernel)
    except (TproxyError, OSError) as failure:
        message = f"{failure}; everything else was done: run again to do this too"
        raise NotPutBackError(message) from failure


def _undo(session: Session, changes: Sequence[Change]) -> list[str]:
    """Undo a change that nobody confirmed, in the watchdog; return what stays, as others use it."""
    session.kernel.after_fork()
    cause = TimeoutError("not confirmed")
    left = transaction.undo(changes, session.kinds, session.kernel, cause=cause, verified=True)
    transaction.settle(session.state.ledger(), session.kinds, session.kernel)
    return left


def _says_otherwise(new: SiteRecord | None, old: SiteRecord | None) -> bool:
    """Whether the file says something else than the one on record."""
    return new is not None and not new.says_as(old)


def _warn_of_networkd(say: Callable[[str], None]) -> None:
    settings = removes_foreign()
    if settings:
        wanted_settings = " and ".join(f"{name}=no" for name in settings)
        say(
            "! systemd-networkd removes what others put there when it restarts: set "
            f"{wanted_settings} below [Network] in /etc/systemd/networkd.conf"
        )
