"""One run, the straight line: file → site → desired → live → plan → apply → verify."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from netplan_tproxy.checks.run import asked_before
from netplan_tproxy.commands import confirm
from netplan_tproxy.commands.options import (
    APPLY,
    CHECK,
    COMMIT,
    LOOKS,
    PENDING,
    ROLLBACK,
    STATUS,
    WITHOUT_FILE,
    Options,
)
from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.errors import (
    ConflictError,
    DamagedError,
    KernelError,
    RolledBackError,
    TproxyError,
)
from netplan_tproxy.kernel.host.capabilities import require_privileges
from netplan_tproxy.kernel.host.netns import netns_cookie
from netplan_tproxy.kinds import all_kinds
from netplan_tproxy.output.plan import diff_lines, plan_lines
from netplan_tproxy.output.progress import busy
from netplan_tproxy.paths import DEFAULT_SITE
from netplan_tproxy.reconcile import transaction as engine
from netplan_tproxy.reconcile.diff import by_id, diff, merged, way_back
from netplan_tproxy.reconcile.preflight import require_facts
from netplan_tproxy.reconcile.report import plan_report
from netplan_tproxy.resource.kind import Kinds
from netplan_tproxy.resource.values import Change, Id, Ledger, Plan, Resource
from netplan_tproxy.site.load import load
from netplan_tproxy.site.model import Site
from netplan_tproxy.state.site_record import Applied, applied, diff_report
from netplan_tproxy.state.state import State
from netplan_tproxy.system.signals import Interrupts
from netplan_tproxy.systemd.networkd import removes_foreign

if TYPE_CHECKING:
    from netplan_tproxy.inspect.status import Drift

Say = Callable[[str], None]


def run(options: Options, say: Say, interrupts: Interrupts) -> int:
    """Carry out one run in the network namespace of this thread; give the exit code.

    ``say`` is called with each finished line of output. Raises TproxyError.
    """
    site = None
    if not options.destroy and options.mode not in WITHOUT_FILE:
        with busy(f"reading {options.site}"):
            site = load(options.site)
    require_privileges()
    kinds = all_kinds()
    state = State(options.state_dir, netns_cookie(), kinds)
    if options.mode == COMMIT:
        confirm.commit(state, options.lock_timeout, say)
        return 0
    if options.mode == ROLLBACK and confirm.rollback(state, options.lock_timeout, say):
        return 0
    try:
        with _opened(interrupts) as kernel:
            this = _Run(site, kinds, kernel, state, say, options)
            if options.mode in {APPLY, ROLLBACK}:
                with state.lock(options.lock_timeout):
                    this.set_damage_aside()
                    if options.mode == APPLY:
                        this.go_back_when_overdue(interrupts)
                        this.apply(interrupts)
                    else:
                        this.go_back(interrupts)
                if options.confirm is not None:
                    confirm.await_confirmation(state, options.confirm, say)
                return 0
            if options.mode in LOOKS:
                this.look(interrupts)
                return 0
            plan = this.plan(this.owned())
    except KernelError as refusal:
        # What fails on the way back or after it comes as another error.
        message = f"{refusal}; nothing was touched"
        raise TproxyError(message) from refusal
    return PENDING if options.mode == CHECK and plan.changes else 0


@contextlib.contextmanager
def _opened(interrupts: Interrupts) -> Iterator[Kernel]:
    # The netlink library leaves an event loop half made when a signal breaks in.
    with contextlib.ExitStack() as stack:
        with interrupts.shielded():
            kernel = stack.enter_context(Kernel())
            interrupts.checkpoint()
        yield kernel


@dataclass(frozen=True)
class _Run:
    site: Site | None
    kinds: Kinds
    kernel: Kernel
    state: State
    say: Say
    options: Options

    def set_damage_aside(self) -> None:
        """Keep a journal that can't be read, and go on without it."""
        try:
            self.state.interrupted()
        except DamagedError:
            aside = self.state.set_aside()
            self.say(
                f"the journal of the last run is damaged: kept as {aside} and not trusted; "
                "what carries our sign is found without it"
            )

    def go_back_when_overdue(self, interrupts: Interrupts) -> None:
        """Take back a change that nobody confirmed and whose watchdog is gone."""
        confirm.refuse_while_pending(self.state)
        if self.state.pending() is not None:
            self.go_back(interrupts)

    def go_back(self, interrupts: Interrupts) -> None:
        """Lead the kernel back to the last committed state."""
        begun = self.state.interrupted()
        if self.state.pending() is None and not begun:
            message = "nothing awaits its confirmation, and no run was cut short"
            raise TproxyError(message)
        ledger = self.state.ledger()
        plan = self._diff({identity: mine.ours for identity, mine in ledger.items()}, self.owned())
        live = engine.observe(self.kinds, self.kernel, [change.subject for change in begun])
        plan = way_back(plan, begun, live)
        self._show(plan)
        engine.execute(plan, self.kinds, self.kernel, engine.Unwritten(), interrupts)
        engine.settle(ledger, self.kinds, self.kernel)
        self.state.abandon()
        self.state.release()

    def apply(self, interrupts: Interrupts) -> None:
        owned = self.owned()
        if self.state.interrupted():
            self.state.commit(owned)
        plan = self.plan(owned)
        self.state.site = self.record(time.time())
        if plan.changes:
            self._warn()
            checks = [*self.options.checks, *(self.site.checks if self.site else ())]
            accept = asked_before(checks, self.say)
            try:
                engine.execute(
                    plan, self.kinds, self.kernel, self.state, interrupts,
                    accept=accept, finish=self._hold(plan),
                )  # fmt: skip
            except RolledBackError:
                with contextlib.suppress(TproxyError):
                    engine.settle(owned, self.kinds, self.kernel)
                raise
            if self.options.confirm is None:
                engine.settle(plan.ledger or {}, self.kinds, self.kernel)
        elif plan.ledger != owned or self._reads_otherwise():
            self.state.commit(plan.ledger or {})

    def record(self, at: float = 0.0) -> Applied | None:
        """Give the site file as it is kept beside the ledger."""
        source = str(Path(self.options.site).absolute())
        return applied(self.site, source, at) if self.site else None

    def _reads_otherwise(self) -> bool:
        """Whether the file on record is another, though it comes to the same."""
        new = self.state.site
        return new is not None and not new.says_as(self.state.applied())

    def _warn(self) -> None:
        settings = removes_foreign()
        if settings and self.site is not None:
            wanted = " and ".join(f"{name}=no" for name in settings)
            self.say(
                "! systemd-networkd removes what others put there when it restarts: set "
                f"{wanted} below [Network] in /etc/systemd/networkd.conf"
            )

    def _hold(self, plan: Plan) -> Callable[[Sequence[Change]], None] | None:
        seconds = self.options.confirm
        if seconds is None:
            return None

        def finish(made: Sequence[Change]) -> None:
            def undo() -> list[str]:
                self.kernel.after_fork()
                cause = TimeoutError("not confirmed")
                left = engine.undo(made, self.kinds, self.kernel, cause=cause, verified=True)
                engine.settle(self.state.ledger(), self.kinds, self.kernel)
                return left

            confirm.hold(self.state, plan.ledger or {}, seconds, undo)

        return finish

    def owned(self) -> Ledger:
        """Give the ledger, with what a killed run had begun taken over.

        So the plan leads from wherever that run got to straight to what is wanted now.
        """
        ledger, begun = self.state.ledger(), self.state.interrupted()
        if not begun:
            return ledger
        pending = self.state.pending()
        if pending is None:
            self.say(f"a run was killed after {len(begun)} of its changes: they count as ours")
        elif confirm.overdue(pending):
            self.say("a change was not confirmed, and its watchdog is gone: it goes back first")
        else:
            self.say(f"a change awaits its confirmation for another {pending.left:.0f} s")
        scope = [*(mine.ours for mine in ledger.values()), *(change.subject for change in begun)]
        return merged(ledger, begun, engine.observe(self.kinds, self.kernel, scope))

    def compute(self, owned: Ledger) -> Plan:
        """Plan the way to what the site file says, or to nothing without one."""
        desired: dict[Id, Resource] = {}
        if self.site is not None:
            policy = self.site.policy
            cgroups = [*policy.bypass_cgroups, *self.site.fastpath_cgroups]
            facts = self.kernel.facts(policy.bypass_users, cgroups)
            require_facts(self.site, facts)
            desired = by_id(
                resource
                for kind in self.kinds.values()
                for resource in kind.desired(self.site, facts)
            )
        return self._diff(desired, owned)

    def plan(self, owned: Ledger) -> Plan:
        """Plan and say it."""
        plan = self.compute(owned)
        self._show(plan)
        if self.options.diff:
            found = diff_report(self.state.applied(), self.record())
            if self.options.told is not None:
                self.options.told["diff"] = found
                return plan
            for line in diff_lines(found, self.options.style):
                self.say(line)
        return plan

    def look(self, interrupts: Interrupts) -> None:
        """Say what is set up, or what would become of a connection."""
        from netplan_tproxy.commands import look  # noqa: PLC0415 - of no use to the other modes

        at = look.Place(self.kernel, self.kinds, self.state, self.drift)
        if self.options.mode == STATUS:
            look.status(at, self.options, self.say, interrupts)
        elif self.options.question is not None:
            look.explain(at, self.options.question, self.options, self.say)

    def drift(self) -> Drift:
        """Compare the kernel with the site file, or with the ledger where there is none."""
        from netplan_tproxy.inspect.status import unless_it_fails  # noqa: PLC0415

        record, file = self.state.applied(), self.options.site
        if record is not None and file == DEFAULT_SITE:
            file = record.source
        owned = replace(self, say=lambda _: None).owned()
        ours = {identity: mine.ours for identity, mine in owned.items()}
        return unless_it_fails(
            file,
            lambda: replace(self, site=load(file)).compute(owned),
            lambda: self._diff(ours, owned) if ours else None,
        )

    def _show(self, plan: Plan) -> None:
        if plan.conflicts:
            raise ConflictError([f"{line}; nothing was touched" for line in plan.conflicts])
        if plan.impossible:
            raise TproxyError("\n".join(f"{line}; nothing was touched" for line in plan.impossible))
        if self.options.told is not None:
            self.options.told["plan"] = plan_report(plan)
            return
        for line in plan_lines(plan, self.options.style):
            self.say(line)

    def _diff(self, desired: dict[Id, Resource], owned: Ledger) -> Plan:
        scope = [*desired.values(), *(mine.ours for mine in owned.values())]
        live = engine.observe(self.kinds, self.kernel, scope)
        return diff(desired, live, owned, adopt=self.options.adopt)
