"""All rules of `ip rule`, whatever they select by, for those who look for collisions."""

from __future__ import annotations

import errno
import socket
import struct
from dataclasses import dataclass
from typing import Any

from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.netlink.answer import Reading
from netplan_tproxy.kernel.netlink.channel import Channel
from netplan_tproxy.kernel.netlink.pyroute import decoded, encoded
from netplan_tproxy.kernel.netlink.routing import GETRULE
from netplan_tproxy.kernel.netlink.socket import Rtnetlink

_TO_TABLE = 1  # FR_ACT_TO_TBL
_GETROUTE, _RTA_TABLE = 26, 15
_INVERT = 0x2  # FIB_RULE_INVERT
_ALL = 0xFFFFFFFF
# What says what a rule does or is; every other attribute narrows what it selects.
_NO_SELECTORS = {
    "FRA_TABLE", "FRA_SUPPRESS_PREFIXLEN", "FRA_SUPPRESS_IFGROUP", "FRA_PROTOCOL",
    "FRA_PRIORITY", "FRA_FWMARK", "FRA_FWMASK", "FRA_GOTO", "FRA_FLOW", "FRA_PAD",
}  # fmt: skip


@dataclass(frozen=True)
class AnyRule:
    """A rule; ``mark`` is None unless it selects by one, ``narrowed`` if by more than that."""

    family: int
    priority: int
    table: int
    protocol: int
    mark: int | None = None
    mask: int = _ALL
    inverted: bool = False
    narrowed: bool = False
    looks_up: bool = True
    suppresses: bool = False

    def __str__(self) -> str:
        """Return it much as ip-rule(8) shows it."""
        negated = "not " if self.inverted else ""
        mark = "" if self.mark is None else f"fwmark {self.mark:#x}/{self.mask:#x} "
        more = "… " if self.narrowed else ""
        action = f"lookup {self.table}" if self.looks_up else "no lookup"
        six = "-6 " if self.family == socket.AF_INET6 else ""
        return f"{six}{self.priority}: {negated}from all {mark}{more}{action}"


class AnyRules(Rtnetlink):
    """Reads them."""

    def any_rules(self, family: int) -> list[AnyRule]:
        """Read all rules of a family, in the order in which they are asked."""

        def parse(reading: Reading) -> list[AnyRule]:
            rules = (decoded("fibmsg", message) for message in reading.messages)
            return [_any_rule(family, rule) for rule in rules]

        rules = self._listed("rules", GETRULE, encoded("fibmsg", family=family), parse)
        return sorted(rules, key=lambda rule: rule.priority)


def _any_rule(family: int, rule: Any) -> AnyRule:
    attrs = dict(rule["attrs"])
    narrowed = (
        bool(rule["src_len"] or rule["dst_len"] or rule["tos"])
        or bool(attrs.keys() - _NO_SELECTORS)
    )  # fmt: skip
    return AnyRule(
        family,
        attrs.get("FRA_PRIORITY", 0),
        attrs.get("FRA_TABLE", rule["table"]),
        attrs.get("FRA_PROTOCOL", 0),
        attrs.get("FRA_FWMARK"),
        attrs.get("FRA_FWMASK", _ALL),
        bool(rule["flags"] & _INVERT),
        narrowed,
        rule["action"] == _TO_TABLE,
        attrs.get("FRA_SUPPRESS_PREFIXLEN", _ALL) != _ALL,
    )


def has_routes(family: int, table: int) -> bool:
    """Whether a table has any route: only the first answer is read, however long the table.

    Raises KernelError.
    """
    attribute = struct.pack("=HHI", 8, _RTA_TABLE, table)
    body = struct.pack("=BBBBBBBBI", family, 0, 0, 0, 0, 0, 0, 0, 0) + attribute
    try:
        return Channel().any(_GETROUTE, body)
    except OSError as refusal:
        if refusal.errno == errno.ENOENT:
            return False
        message = f"read routes: {refusal.strerror or refusal}"
        raise KernelError(message, refusal.errno or 0) from refusal
