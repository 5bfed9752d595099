"""The diff: desired, live and ledger in, plan out. Pure.

One rule for every kind:

- wanted and there as wanted: nothing to do (ours), or used as it is (somebody else's);
- wanted and not there: create it;
- wanted and different: ours, or a setting: change it; somebody else's: a conflict;
- not wanted, ours and unchanged since: put back what was there before;
- not wanted, ours but changed by somebody since: theirs now, leave it and forget it.

Ours is what the ledger says and the kernel confirms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from netplan_tproxy.resource.values import Change, Id, Ledger, Live, Owned, Plan, Resource

_CHANGED = "changed by somebody else since"


def by_id(resources: Iterable[Resource]) -> dict[Id, Resource]:
    """Index resources by what they are."""
    return {resource.id: resource for resource in resources}


def diff(desired: Live, live: Live, ledger: Ledger, *, adopt: bool = False) -> Plan:
    """Plan the way from ``live`` to ``desired`` for an owner of ``ledger``.

    With ``adopt`` what is somebody else's is taken over, and put back when no longer
    wanted. The plan carries the ledger as it is after success. Changes come in the order in
    which they are to be made: what receives traffic before what sends it there.
    """
    owned = _with_what_is_ours(ledger, desired, live)
    after: dict[Id, Owned] = {}
    unlike: list[tuple[Resource | None, Resource]] = []
    present: list[tuple[Resource, Resource]] = []
    conflicts: list[str] = []
    impossible: list[str] = []
    for identity, want in desired.items():
        now = live.get(identity)
        mine = owned.get(identity)
        if now is not None and want.satisfied_by(now):
            if mine is not None and _confirmed(mine.ours, now):
                after[identity] = Owned(want, mine.before)
            elif not now.is_shared:
                present.append((now, want))
            continue
        takes_over = mine is not None or adopt
        if now is not None and not want.is_setting and not (takes_over and now.restorable):
            why = ", and could not be put back: it is not taken over" if adopt else ", and not ours"
            conflicts.append(f"{want.title}: is already there as {now.value}{why}")
            continue
        if now is None and want.is_setting:
            impossible.append(f"{want.title}: does not exist here")
            continue
        unlike.append((now, want))
        first = now.at_first(owned) if now is not None else None
        after[identity] = Owned(want, mine.before if mine else first)

    # What would be otherwise if we did not hold it so is ours, although it is as it was.
    after |= {want.id: Owned(want, now) for now, want in present if want.beneath(after) != want}
    released = {
        identity: mine.before.beneath(after)
        for identity, mine in owned.items()
        if mine.before is not None and identity not in desired
    }
    others = {**released, **desired}
    changes = [Change(now, want.upon(now, owned.get(want.id), others)) for now, want in unlike]
    gone, kept = _take_down(released, desired, live, owned)
    up = sorted(changes, key=lambda change: _turn(change.subject))
    down = sorted(gone, key=lambda change: [-place for place in _turn(change.subject)])
    return Plan(
        changes=(*up, *down),
        satisfied=tuple(now for now, want in present if want.id not in after),
        kept=tuple(kept),
        conflicts=tuple(conflicts),
        impossible=tuple(impossible),
        ledger=after,
        wanted=tuple(desired.values()),
    )


def _turn(resource: Resource) -> tuple[int, int]:
    return resource.rank, resource.turn


def _with_what_is_ours(ledger: Ledger, desired: Live, live: Live) -> dict[Id, Owned]:
    """Add to the ledger what carries our sign, and what a setting of ours changed along."""
    owned = dict(ledger)
    for resource in live.values():
        if resource.signed and resource.id not in owned:
            owned[resource.id] = Owned(resource)
    for mine in ledger.values():
        if mine.before is None:
            continue
        for first in mine.before.changed_along(mine.ours, live):
            # Once it is wanted for itself. Until then it is put back with what changed it.
            if first.id in desired and first.id not in owned:
                owned[first.id] = Owned(live[first.id], first)
    return owned


def merged(ledger: Ledger, begun: Sequence[Change], live: Live) -> dict[Id, Owned]:
    """Add to the ledger what a run that was killed made, or may have made.

    Each of the ``begun`` changes may be done or not: ``live`` tells.
    """
    owned = dict(ledger)
    for change in begun:
        if change.after is None:
            continue
        mine = owned.get(change.id)
        now = live.get(change.id)
        if mine is None:
            foreign = None if change.before and change.before.signed else change.before
            owned[change.id] = Owned(change.after, foreign)
        elif now is not None and change.after.satisfied_by(now):
            owned[change.id] = Owned(change.after, mine.before)
    return owned


def left_to_others(
    made: Sequence[Change], live: Live, *, verified: bool
) -> dict[Id, tuple[Resource, str]]:
    """Find what the inverse of ``made`` must leave as it is, and why.

    What was ``verified`` once and shows as neither end any more was changed since. Before
    that the kernel itself may show it otherwise than it was asked to.
    """
    ends: dict[Id, list[Resource]] = {}
    for change in made:
        known = ends.setdefault(change.id, [])
        known.extend(end for end in (change.before, change.after) if end is not None)
    left = {}
    for change in made:
        now = live.get(change.id)
        if now is None:
            continue
        if change.before is None and now.in_use:
            left[change.id] = (now, now.in_use)
        elif verified and not any(_still(end, now) for end in ends[change.id]):
            left[change.id] = (now, _CHANGED)
    return left


def way_back(plan: Plan, begun: Sequence[Change], live: Live) -> Plan:
    """Give the part of ``plan`` that takes back what a run had ``begun``, and no more."""
    left = left_to_others(begun, live, verified=True)
    mine = {change.id for change in begun} - left.keys()
    kept = {resource.id: (resource, why) for resource, why in plan.kept}
    return replace(
        plan,
        changes=tuple(change for change in plan.changes if change.id in mine),
        wanted=tuple(want for want in plan.wanted if want.id in mine),
        kept=tuple({**kept, **left}.values()),
    )


def _confirmed(ours: Resource, now: Resource) -> bool:
    """Whether the kernel says so too, for what the kernel can say it of."""
    return now.signed or not ours.signed


def _still(ours: Resource, now: Resource) -> bool:
    """Whether what is there is ours, or as we left it: nobody else has changed it since."""
    return now.signed or (ours.satisfied_by(now) and _confirmed(ours, now))


def _take_down(
    released: Live, desired: Live, live: Live, owned: Ledger
) -> tuple[list[Change], list[tuple[Resource, str]]]:
    """Plan what becomes of what is ours and no longer wanted; ``released`` is put back."""
    changes = []
    kept = []
    for identity, mine in owned.items():
        now = live.get(identity)
        if identity in desired or now is None:
            continue
        before = released.get(identity)
        if before is not None and before.satisfied_by(now):
            continue
        if not _still(mine.ours, now):
            kept.append((now, _CHANGED))
        elif now.in_use and before is None:
            kept.append((now, now.in_use))
        else:
            back = before and before.upon(now, mine, {**released, **desired})
            changes.append(Change(now, back))
    return changes, kept
