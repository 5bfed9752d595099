"""All rules of `ip rule`, whatever they select by, for those who look for collisions."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from netplan_tproxy.kernel.netlink.socket import Rtnetlink

_TO_TABLE = 1  # FR_ACT_TO_TBL
_GETROUTE, _NEWROUTE, _DUMP, _RTA_TABLE = 26, 24, 0x301, 15
_SOL_NETLINK, _GET_STRICT_CHK = 270, 12
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
        found = []
        with self._doing("read rules"):
            for rule in self._dump(lambda: self._ip.get_rules(family=family)):
                attrs = dict(rule["attrs"])
                narrowed = (
                    bool(rule["src_len"] or rule["dst_len"] or rule["tos"])
                    or bool(attrs.keys() - _NO_SELECTORS)
                )  # fmt: skip
                found.append(
                    AnyRule(
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
                )
        return sorted(found, key=lambda rule: rule.priority)


def has_routes(family: int, table: int) -> bool:
    """Whether a table has any route: only the first answer is read, however long the table."""
    attribute = struct.pack("=HHI", 8, _RTA_TABLE, table)
    body = struct.pack("=BBBBBBBBI", family, 0, 0, 0, 0, 0, 0, 0, 0) + attribute
    header = struct.pack("=IHHII", 16 + len(body), _GETROUTE, _DUMP, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        # Strictly checked, a dump is of this table alone (Linux 4.20).
        netlink.setsockopt(_SOL_NETLINK, _GET_STRICT_CHK, 1)
        netlink.settimeout(5)
        netlink.sendto(header + body, (0, 0))
        (kind,) = struct.unpack_from("=4xH", netlink.recv(65536))
    return bool(kind == _NEWROUTE)
