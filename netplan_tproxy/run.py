"""One run, the straight line: file → site → desired → live → plan → apply → verify."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from netplan_tproxy import engine
from netplan_tproxy.errors import ConflictError, TproxyError
from netplan_tproxy.kernel import Facts, Kernel
from netplan_tproxy.kernel.netns_id import netns_cookie
from netplan_tproxy.kernel.privileges import require_privileges
from netplan_tproxy.kinds import Kinds, all_kinds
from netplan_tproxy.model import Id, Ledger, Owned, Plan, Resource
from netplan_tproxy.plan import by_id, diff
from netplan_tproxy.render import plan_lines
from netplan_tproxy.site.load import load
from netplan_tproxy.site.model import Site
from netplan_tproxy.state import DEFAULT_ROOT, State

DEFAULT_SITE = "/etc/netplan-tproxy/site.yaml"
APPLY, DRY_RUN, CHECK = "apply", "dry-run", "check"
PENDING = 2
ETHERNET = 1  # ARPHRD_ETHER

Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What the command line asks for. ``lock_timeout`` in seconds."""

    site: str = DEFAULT_SITE
    mode: str = APPLY
    destroy: bool = False
    state_dir: str = DEFAULT_ROOT
    lock_timeout: float = 10.0


def run(options: Options, say: Say) -> int:
    """Carry out one run in the network namespace of this thread; give the exit code.

    ``say`` is called with each finished line of output. Raises TproxyError.
    """
    site = None if options.destroy else load(options.site)
    require_privileges()
    kinds = all_kinds()
    state = State(options.state_dir, netns_cookie(), kinds)
    with Kernel() as kernel:
        if options.mode != APPLY:
            plan = _plan(site, kinds, kernel, state.ledger())
            for line in plan_lines(plan):
                say(line)
            return PENDING if options.mode == CHECK and plan.changes else 0
        with state.lock(options.lock_timeout):
            _recover(kinds, kernel, state, say)
            plan = _plan(site, kinds, kernel, state.ledger())
            for line in plan_lines(plan):
                say(line)
            if plan.changes:
                engine.execute(plan, kinds, kernel, state)
            elif plan.ledger != state.ledger():
                state.commit(plan.ledger or {})
    return 0


def _plan(site: Site | None, kinds: Kinds, kernel: Kernel, ledger: Ledger) -> Plan:
    desired: dict[Id, Resource] = {}
    if site is not None:
        facts = kernel.facts()
        _require_interfaces(site, facts)
        desired = by_id(
            resource for kind in kinds.values() for resource in kind.desired(site, facts)
        )
    scope = [*desired.values(), *(mine.ours for mine in ledger.values())]
    live = engine.observe(kinds, kernel, scope)
    plan = diff(desired, live, ledger)
    if plan.conflicts:
        raise ConflictError([f"{line}; nothing was touched" for line in plan.conflicts])
    if plan.impossible:
        raise TproxyError("\n".join(f"{line}; nothing was touched" for line in plan.impossible))
    return plan


def _recover(kinds: Kinds, kernel: Kernel, state: State, say: Say) -> None:
    """Lead a killed run's half-made changes back to the last committed state."""
    begun = state.interrupted()
    if not begun:
        return
    committed = state.ledger()
    owned = dict(committed)
    for change in begun:
        if change.after is not None and change.id not in owned:
            owned[change.id] = Owned(change.after, change.before)
    scope = [mine.ours for mine in owned.values()]
    live = engine.observe(kinds, kernel, scope)
    desired = {identity: mine.ours for identity, mine in committed.items()}
    plan = diff(desired, live, owned)
    say(f"recovering: a run was cut short after {len(begun)} of its changes; going back")
    for line in plan_lines(plan):
        say(line)
    engine.execute(plan, kinds, kernel, state)


def _require_interfaces(site: Site, facts: Facts) -> None:
    missing = []
    for interface in site.interfaces:
        where = site.where.get(f"interfaces.{interface.name}", (1, 1))
        place = f"{site.source}:{where[0]}:{where[1]}: interfaces.{interface.name}"
        link = facts.links.get(interface.name)
        if link is None:
            there = ", ".join(sorted(facts.links.keys() - {"lo"})) or "none"
            missing.append(f"{place}: no such interface here (there is: {there})")
        elif link.type != ETHERNET:
            missing.append(f"{place}: has no Ethernet header, which is not supported yet")
    if missing:
        raise TproxyError("\n".join(f"{line}; nothing was touched" for line in missing))

