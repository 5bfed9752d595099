"""Rules of others that our marked packets meet, or that theirs meet through ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netplan_tproxy.datapath.host import OUR_PROTOCOL
from netplan_tproxy.inspect.doctor.finding import Finding, fail, ok, warn
from netplan_tproxy.inspect.doctor.target import Patient
from netplan_tproxy.kernel.netlink.routing import has_routes
from netplan_tproxy.kernel.netlink.rules import AnyRule, Rules
from netplan_tproxy.site.model import AF_INET, AF_INET6, Mark

ALWAYS, PERHAPS, NEVER = "always", "perhaps", "never"
_LOCAL = 255


def examine(patient: Patient) -> list[Finding]:
    """Hold every rule of `ip rule` against the marks of the site file."""
    families = patient.site.proxy.families if patient.site else (AF_INET, AF_INET6)
    rules = Rules()
    try:
        found = []
        for family in families:
            every = rules.all_rules(family)
            filled = [rule for rule in every if rule.table == _LOCAL
                      or not rule.looks_up or has_routes(family, rule.table)]  # fmt: skip
            found += list(collisions(patient, filled))
    finally:
        rules.close()
    if found:
        return found
    return [ok("marks.rules", f"no other rule asks for the mark {patient.intercept_mark}")]


def collisions(patient: Patient, rules: Iterable[AnyRule]) -> Iterator[Finding]:
    """Give what the rules (those whose table has routes) would do. Pure."""
    ours, bypass = patient.intercept_mark, patient.bypass_mark
    ours_is_asked = False
    for rule in rules:
        ours_is_asked |= rule.protocol == OUR_PROTOCOL and rule.priority == patient.priority
        if rule.protocol == OUR_PROTOCOL or rule.table == _LOCAL or rule.suppresses:
            continue
        # Of equal priorities the one that was there first is asked first.
        same = rule.priority == patient.priority
        before = rule.priority < patient.priority or (same and not ours_is_asked)
        if before:
            how = meets(rule, ours, bypass)
            if how == NEVER:
                continue
            certain = how == ALWAYS and not rule.narrowed
            text = f"rule '{rule}' is asked before ours and "
            text += "takes all that is marked" if certain else "may take what is marked"
            level = fail if certain else warn
            yield level("marks.rules", text, _moved(patient, rule))
        elif _takes(rule, ours):
            yield warn(
                "marks.rules",
                f"rule '{rule}' is of others who use bits of {ours}: their packets come to ours "
                "first and are not sent on",
                "choose other bits for marks.intercept in the site file",
            )
        elif _takes(rule, bypass):
            yield warn(
                "marks.rules",
                f"rule '{rule}' selects by bits of the bypass mark {bypass}: what carries them is "
                "not intercepted",
                "choose other bits for marks.bypass in the site file, unless that is meant",
            )


def _moved(patient: Patient, rule: AnyRule) -> str:
    if rule.priority > 1:
        return f"give ours a priority below {rule.priority} (rules: in the site file)" + (
            ", or choose other bits for marks.intercept" if rule.mark is not None else ""
        )
    return f"move that rule behind {patient.priority}"


def meets(rule: AnyRule, ours: Mark, bypass: Mark) -> str:
    """Say whether a packet that carries our mark meets a rule's mark selector. Pure.

    Always: its other bits being 0, as they mostly are. Perhaps: if somebody sets others.
    """
    if rule.mark is None:
        return ALWAYS
    others = rule.mask & ~ours.mask
    plain = (ours.value & rule.mask) == rule.mark
    if plain != rule.inverted:
        return ALWAYS
    if rule.inverted:
        return PERHAPS if others else NEVER
    shared = rule.mask & ours.mask
    possible = (rule.mark & shared) == (ours.value & shared) and others
    # What carries the bypass mark never gets ours.
    return PERHAPS if possible and not _takes(rule, bypass) else NEVER


def _takes(rule: AnyRule, ours: Mark) -> bool:
    """Whether all that a rule selects carries our mark: then they are one and the same bits."""
    if rule.mark is None or rule.inverted:
        return False
    return rule.mask & ours.mask == ours.mask and rule.mark & ours.mask == ours.value
