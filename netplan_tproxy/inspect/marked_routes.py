"""The words for default routes that only a mark leads to."""

from __future__ import annotations

from netplan_tproxy.kernel.netlink.rules import AnyRule

ADVICE = (
    "give the main table a default route too (`ip route add default via GATEWAY metric 4000`): "
    "marked packets still take their own"
)


def described(rule: AnyRule, device: str) -> str:
    """Say what becomes of what comes in by a device."""
    return (
        f"only rule '{rule}' leads to a default route: what comes in by {device} is looked up "
        "before netfilter marks it, so it counts as local and goes out directly"
    )
