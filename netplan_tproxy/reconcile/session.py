"""One network namespace under one run: what is ours, what is wanted, and the way between them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.wanted import Wanted
from netplan_tproxy.errors import ConflictError, DamagedError, NothingPendingError, TproxyError
from netplan_tproxy.kernel.host.netns import netns_cookie
from netplan_tproxy.kinds import all_kinds
from netplan_tproxy.paths import DEFAULT_CACHE
from netplan_tproxy.reconcile import transaction
from netplan_tproxy.reconcile.cut_off import end_lost
from netplan_tproxy.reconcile.diff import by_id, diff, merged, way_back
from netplan_tproxy.reconcile.preflight import require_facts
from netplan_tproxy.resource.kind import Kinds
from netplan_tproxy.resource.values import (
    Id,
    Ledger,
    Plan,
    Resource,
    follow_changes,
    follow_ledger,
)
from netplan_tproxy.site.model import Site
from netplan_tproxy.state.state import State
from netplan_tproxy.system.signals import Interrupts

Say = Callable[[str], None]


@dataclass(frozen=True)
class Session:
    """``say`` is told what a person should know besides the plan.

    ``adopt``: what others put in the way is taken over.
    """

    kinds: Kinds
    kernel: Kernel
    state: State
    say: Say
    adopt: bool = False

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

    def owned(self) -> Ledger:
        """Give the ledger, with what a killed run had begun taken over.

        So the plan leads from wherever that run got to straight to what is wanted now.
        """
        links = self.kernel.links()
        ledger = follow_ledger(self.state.ledger(), links)
        begun = follow_changes(self.state.interrupted(), links)
        if not begun:
            return ledger
        pending = self.state.pending()
        if pending is None:
            self.say(
                f"a run was killed after {len(begun)} of its changes: this run takes them over"
            )
        elif pending.overdue:
            self.say("a change was not confirmed, and its watchdog is gone: it goes back first")
        else:
            self.say(f"a change waits for confirmation for another {pending.left:.0f} s")
        scope = [*(mine.ours for mine in ledger.values()), *(change.subject for change in begun)]
        return merged(ledger, begun, transaction.observe(self.kinds, self.kernel, scope))

    def plan(self, site: Site | None, owned: Ledger) -> Plan:
        """Plan the way to what ``site`` says; None: to nothing of ours. Raises TproxyError."""
        desired: Mapping[Id, Resource] = {}
        if site is not None:
            facts = self.kernel.facts(site)
            require_facts(site, facts)
            wanted = Wanted(site, facts)
            desired = by_id(
                resource for kind in self.kinds.values() for resource in kind.desired(wanted)
            )
        return self.plan_to(desired, owned)

    def plan_to(self, desired: Mapping[Id, Resource], owned: Ledger) -> Plan:
        """Plan the way to the resources ``desired``. Raises TproxyError."""
        scope = [*desired.values(), *(mine.ours for mine in owned.values())]
        live = transaction.observe(self.kinds, self.kernel, scope)
        return diff(desired, live, owned, adopt=self.adopt)

    def plan_back(self) -> Plan:
        """Plan the way back to the last committed state. Raises TproxyError."""
        links = self.kernel.links()
        begun = follow_changes(self.state.interrupted(), links)
        if self.state.pending() is None and not begun:
            message = "nothing is waiting for confirmation, and no run was cut short"
            raise NothingPendingError(message)
        ledger = follow_ledger(self.state.ledger(), links)
        committed = {identity: mine.ours for identity, mine in ledger.items()}
        plan = self.plan_to(committed, self.owned())
        live = transaction.observe(self.kinds, self.kernel, [change.subject for change in begun])
        return way_back(plan, begun, live)

    def go_back(self, plan: Plan, interrupts: Interrupts, gone: Callable[[], None]) -> None:
        """Carry out ``plan_back``; ``gone`` is called when all is verified. Raises TproxyError."""
        transaction.execute(
            plan,
            self.kinds,
            self.kernel,
            transaction.NoJournal(),
            interrupts,
            finish=lambda _: gone(),
        )
        if said := end_lost(plan.changes, self.kernel):
            self.say(said)
        transaction.settle(self.state.ledger(), self.kinds, self.kernel)
        self.state.abandon()
        self.state.release()


@contextlib.contextmanager
def opened(
    state_dir: str,
    say: Say,
    interrupts: Interrupts,
    *,
    adopt: bool = False,
    cache: str = DEFAULT_CACHE,
) -> Iterator[Session]:
    """Open the network namespace of this thread. Raises TproxyError.

    ``cache``: the folder of what was compiled before; "" for none.
    """
    kinds = all_kinds()
    state = State(state_dir, netns_cookie(), kinds)
    # The netlink library leaves an event loop half made when a signal breaks in.
    with contextlib.ExitStack() as stack:
        with interrupts.shielded():
            kernel = stack.enter_context(Kernel(cache))
            interrupts.checkpoint()
        yield Session(kinds, kernel, state, say, adopt)


def refuse_other_owner(state: State, site: Site | None, *, replace: bool) -> None:
    """Raise ConflictError where what is set up here is not this run's to change.

    ``site`` None: everything is to go. ``replace``: another site may take the place.
    """
    owner = state.other_owner()
    if owner is not None:
        message = (
            f"site {owner.site!r} is set up here, and its record is in {owner.root}: "
            f"say --state-dir {owner.root}; nothing was touched"
        )
        raise ConflictError([message])
    record = state.site_record()
    if site is None or record is None or replace or record.name == site.name:
        return
    message = (
        f"site {record.name!r} of {record.source} is set up here: site {site.name!r} takes its "
        "place with --replace; nothing was touched"
    )
    raise ConflictError([message])


def refuse_impossible(plan: Plan) -> None:
    """Raise ConflictError or TproxyError for a plan that cannot be carried out."""
    if plan.conflicts:
        raise ConflictError([f"{line}; nothing was touched" for line in plan.conflicts])
    if plan.impossible:
        raise TproxyError("\n".join(f"{line}; nothing was touched" for line in plan.impossible))
