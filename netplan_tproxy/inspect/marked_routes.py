"""Default routes that only a mark leads to: the programs look before netfilter marks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netplan_tproxy.datapath.protocol import OUR_PROTOCOL
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.netlink.route_get import way_to
from netplan_tproxy.kernel.netlink.rules import AnyRule, Rules
from netplan_tproxy.site.model import AF_INET, AF_INET6, Mark

# Addresses that nothing is sent to: only the way there is asked for.
_FAR = {AF_INET: "1.1.1.1", AF_INET6: "2606:4700:4700::1111"}


def by_mark_alone(families: Iterable[int], ours: Mark) -> Iterator[AnyRule]:
    """Give the rules of others by mark that lead to a default route where there is none else.

    Raises KernelError.
    """
    rules = Rules()
    try:
        for family in families:
            if _leaves(family, 0):
                continue
            for rule in rules.all_rules(family):
                if rule.mark and not rule.inverted and rule.protocol != OUR_PROTOCOL:
                    marked = rule.mark & ~ours.mask
                    if marked and _leaves(family, marked):
                        yield rule
    finally:
        rules.close()


def described(rule: AnyRule, device: str) -> str:
    """Say what becomes of what comes in by a device."""
    return (
        f"only rule '{rule}' leads to a default route: what comes in by {device} is looked up "
        "before netfilter marks it, so it counts as local and goes out directly"
    )


ADVICE = (
    "give the main table a default route too (`ip route add default via GATEWAY metric 4000`): "
    "what is marked takes its own all the same"
)


def _leaves(family: int, mark: int) -> bool:
    try:
        return way_to(_FAR[family], mark=mark).type == "unicast"
    except KernelError:  # a family that this host does not have
        return False
