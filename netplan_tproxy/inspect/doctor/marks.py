"""Rules of others that select by our marks, and ours that select by theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netplan_tproxy.datapath.protocol import OUR_PROTOCOL
from netplan_tproxy.inspect.doctor.finding import Finding, fail, ok, warn
from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.kernel.netlink.routing import has_routes
from netplan_tproxy.kernel.netlink.rules import AnyRule, Rules
from netplan_tproxy.site.model import AF_INET, AF_INET6, Mark

ALWAYS, PERHAPS, NEVER = "always", "perhaps", "never"
_LOCAL = 255


def examine(target: Target) -> list[Finding]:
    """Compare every rule of `ip rule` with the marks of the site file."""
    families = target.site.proxy.families if target.site else (AF_INET, AF_INET6)
    rules = Rules()
    try:
        findings: list[Finding] = []
        for family in families:
            every = rules.all_rules(family)
            filled = [rule for rule in every if rule.table == _LOCAL
                      or not rule.looks_up or has_routes(family, rule.table)]  # fmt: skip
            findings += list(collisions(target, filled))
    finally:
        rules.close()
    if findings:
        return findings
    return [ok("marks.rules", f"no other rule asks for the mark {target.intercept_mark}")]


def collisions(target: Target, rules: Iterable[AnyRule]) -> Iterator[Finding]:
    """Return a finding for each rule that takes what is marked; its table has routes. Pure."""
    ours, bypass = target.intercept_mark, target.bypass_mark
    ours_is_asked = False
    for rule in rules:
        ours_is_asked |= rule.protocol == OUR_PROTOCOL and rule.priority == target.priority
        if rule.protocol == OUR_PROTOCOL or rule.table == _LOCAL or rule.suppresses:
            continue
        # Of two rules with one priority the older one is asked first.
        same = rule.priority == target.priority
        before = rule.priority < target.priority or (same and not ours_is_asked)
        if before:
            how = meets(rule, ours, bypass)
            if how == NEVER:
                continue
            certain = how == ALWAYS and not rule.narrowed
            text = f"rule '{rule}' is asked before ours and "
            text += "takes all marked packets" if certain else "may take marked packets"
            level = fail if certain else warn
            yield level("marks.rules", text, _moved(target, rule))
        elif _takes(rule, ours):
            yield warn(
                "marks.rules",
                f"rule '{rule}' belongs to another program that uses bits of {ours}: "
                "its packets come to ours first and are not sent on",
                "choose other bits for marks.intercept in the site file",
            )
        elif _takes(rule, bypass):
            yield warn(
                "marks.rules",
                f"rule '{rule}' selects by bits of the bypass mark {bypass}: what carries them is "
                "not intercepted",
                "choose other bits for marks.bypass in the site file, unless that is meant",
            )


def _moved(target: Target, rule: AnyRule) -> str:
    if rule.priority > 1:
        return f"give ours a priority below {rule.priority} (rules: in the site file)" + (
            ", or choose other bits for marks.intercept" if rule.mark is not None else ""
        )
    return f"move that rule behind {target.priority}"


def meets(rule: AnyRule, ours: Mark, bypass: Mark) -> str:
    """Return whether a rule selects packets with our mark: ALWAYS, PERHAPS or NEVER. Pure.

    ALWAYS if their other bits are 0, as they mostly are; PERHAPS if somebody sets others.
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
    # A packet with the bypass mark never gets the intercept mark.
    return PERHAPS if possible and not _takes(rule, bypass) else NEVER


def _takes(rule: AnyRule, ours: Mark) -> bool:
    """Whether everything that a rule selects carries our mark."""
    if rule.mark is None or rule.inverted:
        return False
    return rule.mask & ours.mask == ours.mask and rule.mark & ours.mask == ours.value
