"""Default routes that a mark leads to: the programs look before netfilter marks."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from netplan_tproxy.datapath.protocol import OUR_PROTOCOL
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.bpf.btf import knows_lookups_by_mark
from netplan_tproxy.kernel.netlink.route_get import way_to
from netplan_tproxy.kernel.netlink.rules import AnyRule, Rules
from netplan_tproxy.site.model import AF_INET, AF_INET6, Mark

# Addresses that nothing is sent to: only the way there is asked for.
_FAR = {AF_INET: "1.1.1.1", AF_INET6: "2606:4700:4700::1111"}


def route_mark(families: Collection[int], ours: Mark) -> int:
    """Give the mark to look up what nothing else leads on for; 0: none.

    That is the mark of the first rule of others that selects by one, whatever routes there are
    now: routes come and go with their devices. Raises KernelError.
    """
    if not knows_lookups_by_mark():
        return 0
    marks = (marked for family in families for _, marked in _by_mark(family, ours))
    return next(marks, 0)


def out_of_sight(families: Collection[int], ours: Mark) -> Iterator[AnyRule]:
    """Give the rules by mark that alone lead to a default route, and that no program follows.

    Raises KernelError.
    """
    known = route_mark(families, ours)
    for family in families:
        if _type(family, 0) == "unicast" or (known and _type(family, known) == "unicast"):
            continue
        for rule, marked in _by_mark(family, ours):
            if _type(family, marked) == "unicast":
                yield rule


def _by_mark(family: int, ours: Mark) -> Iterator[tuple[AnyRule, int]]:
    """Give the rules of others that take what carries a mark elsewhere than to this host."""
    rules = Rules()
    try:
        every = rules.all_rules(family)
    finally:
        rules.close()
    for rule in every:
        if rule.mark and not rule.inverted and rule.protocol != OUR_PROTOCOL:
            marked = rule.mark & ~ours.mask
            if marked and rule.looks_up and _type(family, marked) != "local":
                yield rule, marked


def _type(family: int, mark: int) -> str:
    try:
        return way_to(_FAR[family], mark=mark).type
    except KernelError:  # a family that this host does not have
        return ""
