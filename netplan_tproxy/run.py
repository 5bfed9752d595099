"""One run, the straight line: file → site → desired → live → plan → apply → verify."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from netplan_tproxy import engine
from netplan_tproxy.errors import ConflictError, KernelError, TproxyError
from netplan_tproxy.interrupts import Interrupts
from netplan_tproxy.kernel import Kernel
from netplan_tproxy.kernel.netns_id import netns_cookie
from netplan_tproxy.kernel.privileges import require_privileges
from netplan_tproxy.kinds import Kinds, all_kinds
from netplan_tproxy.model import Id, Ledger, Plan, Resource
from netplan_tproxy.plan import by_id, diff, merged
from netplan_tproxy.render import plan_lines
from netplan_tproxy.requirements import require_facts
from netplan_tproxy.site.load import load
from netplan_tproxy.site.model import Site
from netplan_tproxy.state import DEFAULT_ROOT, State

DEFAULT_SITE = "/etc/netplan-tproxy/site.yaml"
APPLY, DRY_RUN, CHECK = "apply", "dry-run", "check"
PENDING = 2

Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What the command line asks for. ``lock_timeout`` in seconds."""

    site: str = DEFAULT_SITE
    mode: str = APPLY
    destroy: bool = False
    state_dir: str = DEFAULT_ROOT
    lock_timeout: float = 10.0


def run(options: Options, say: Say, interrupts: Interrupts) -> int:
    """Carry out one run in the network namespace of this thread; give the exit code.

    ``say`` is called with each finished line of output. Raises TproxyError.
    """
    site = None if options.destroy else load(options.site)
    require_privileges()
    kinds = all_kinds()
    state = State(options.state_dir, netns_cookie(), kinds)
    try:
        with _opened(interrupts) as kernel:
            this = _Run(site, kinds, kernel, state, say)
            if options.mode == APPLY:
                with state.lock(options.lock_timeout):
                    this.apply(interrupts)
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

    def apply(self, interrupts: Interrupts) -> None:
        owned = self.owned()
        if self.state.interrupted():
            self.state.commit(owned)
        plan = self.plan(owned)
        if plan.changes:
            engine.execute(plan, self.kinds, self.kernel, self.state, interrupts)
        elif plan.ledger != owned:
            self.state.commit(plan.ledger or {})

    def owned(self) -> Ledger:
        """Give the ledger, with what a killed run had begun taken over.

        So the plan leads from wherever that run got to straight to what is wanted now.
        """
        ledger, begun = self.state.ledger(), self.state.interrupted()
        if not begun:
            return ledger
        self.say(f"a run was killed after {len(begun)} of its changes: they count as ours")
        scope = [*(mine.ours for mine in ledger.values()), *(change.subject for change in begun)]
        return merged(ledger, begun, engine.observe(self.kinds, self.kernel, scope))

    def plan(self, owned: Ledger) -> Plan:
        """Plan and say it."""
        desired: dict[Id, Resource] = {}
        if self.site is not None:
            policy = self.site.policy
            facts = self.kernel.facts(policy.bypass_users, policy.bypass_cgroups)
            require_facts(self.site, facts)
            desired = by_id(
                resource
                for kind in self.kinds.values()
                for resource in kind.desired(self.site, facts)
            )
        scope = [*desired.values(), *(mine.ours for mine in owned.values())]
        plan = diff(desired, engine.observe(self.kinds, self.kernel, scope), owned)
        if plan.conflicts:
            raise ConflictError([f"{line}; nothing was touched" for line in plan.conflicts])
        if plan.impossible:
            raise TproxyError("\n".join(f"{line}; nothing was touched" for line in plan.impossible))
        for line in plan_lines(plan):
            self.say(line)
        return plan
