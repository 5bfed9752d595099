"""Kind ``rule``: policy routing rules that select by fwmark (ip-rule(8))."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.protocol import OUR_PROTOCOL
from netplan_tproxy.datapath.snapshot import Snapshot
from netplan_tproxy.datapath.wanted import Wanted
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.netlink.rules import RuleRecord, adding_rule, removing_rule
from netplan_tproxy.resource.kind import BatchKind, Ends
from netplan_tproxy.resource.ranks import Rank
from netplan_tproxy.resource.values import Resource
from netplan_tproxy.site.model import AF_INET, AF_INET6, Mark

FAMILIES = (AF_INET, AF_INET6)
DEFAULT_PRIORITY = 1000
MAIN_PRIORITY = 32766


@dataclass(frozen=True)
class Rule(Resource):
    """``fwmark MARK/MASK lookup TABLE`` at a priority."""

    kind: ClassVar[str] = "rule"

    family: int
    priority: int
    mark: int
    mask: int
    table: int
    protocol: int = OUR_PROTOCOL
    # The file names no priority: a rule of somebody's that does the same will do.
    any_priority: bool = field(default=False, compare=False)
    seen_at: int = field(default=0, compare=False)

    @property
    def key(self) -> str:
        return f"{self.family} {self.priority} {self.mark:#x}/{self.mask:#x} {self.table}"

    @property
    def rank(self) -> Rank:
        return Rank.RULE

    @property
    def title(self) -> str:
        version = " -6" if self.family == AF_INET6 else ""
        return f"rule{version} {self.seen_at or self.priority}"

    @property
    def parts(self) -> tuple[str, ...]:
        return (f"fwmark {Mark(self.mark, self.mask)} lookup {self.table}",)

    @property
    def signed(self) -> bool:
        return self.protocol == OUR_PROTOCOL

    def satisfied_by(self, live: Resource) -> bool:
        # The protocol says who made a rule, not what it does.
        return isinstance(live, Rule) and replace(live, protocol=self.protocol) == self


class RuleKind(BatchKind[Rule]):
    """The kernel knows a rule by its whole content: two that differ anywhere coexist."""

    resource = Rule

    def desired(self, wanted: Wanted) -> Iterable[Rule]:
        site = wanted.site
        taken = {rule.priority for rule in site.rules}
        free = (number for number in range(DEFAULT_PRIORITY, MAIN_PRIORITY) if number not in taken)
        for rule in site.rules:
            priority = rule.priority if rule.priority is not None else next(free)
            mark = rule.mark
            for family in rule.families:
                yield Rule(
                    family, priority, mark.value, mark.mask, rule.table,
                    any_priority=rule.priority is None,
                )  # fmt: skip

    def observe(self, seen: Snapshot, scope: Sequence[Rule]) -> Iterable[Rule]:
        by_key: dict[str, Rule] = {}
        records = [one for family in FAMILIES for one in seen.rules(family)]
        for record in records:
            rule = Rule(
                record.family, record.priority, record.mark, record.mask, record.table,
                record.protocol,
            )  # fmt: skip
            if rule.key not in by_key or rule.signed:
                by_key[rule.key] = rule
        yield from by_key.values()
        for wanted in scope:
            if wanted.any_priority and wanted.key not in by_key:
                yield from self._same_elsewhere(wanted, by_key.values())

    @staticmethod
    def _same_elsewhere(wanted: Rule, rules: Iterable[Rule]) -> Iterable[Rule]:
        for rule in rules:
            moved = replace(rule, priority=wanted.priority)
            # Behind the main table a default route wins and the rule does nothing.
            effective = rule.priority < MAIN_PRIORITY and not rule.signed
            if effective and wanted.satisfied_by(moved):
                yield replace(moved, seen_at=rule.priority)
                return

    def make(self, kernel: Kernel, before: Rule | None, after: Rule | None) -> None:
        if after is not None:
            kernel.netlink.add_rule(_record(after))
        if before is not None:
            kernel.netlink.del_rule(_record(before))

    def make_many(self, kernel: Kernel, changes: Sequence[Ends[Rule]]) -> Mapping[int, KernelError]:
        requests, numbers = [], []
        for number, (before, after) in enumerate(changes):
            if after is not None:
                requests.append(adding_rule(_record(after)))
                numbers.append(number)
            if before is not None:
                requests.append(removing_rule(_record(before)))
                numbers.append(number)
        refusals = kernel.netlink.make_all(requests)
        # Of two for one change the first counts.
        return {numbers[place]: refusals[place] for place in sorted(refusals, reverse=True)}


def _record(rule: Rule) -> RuleRecord:
    return RuleRecord(
        rule.family, rule.priority, rule.mark, rule.mask, rule.table, rule.protocol
    )  # fmt: skip


KIND = RuleKind()
