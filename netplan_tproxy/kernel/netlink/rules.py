"""The rules of policy routing (`ip rule`): all of them, and those that are of our kind."""

from __future__ import annotations

import errno
import socket
import struct
from dataclasses import dataclass
from typing import Any

from netplan_tproxy.kernel.netlink import rule_words
from netplan_tproxy.kernel.netlink.answer import Reading
from netplan_tproxy.kernel.netlink.channel import CREATE, EXCL
from netplan_tproxy.kernel.netlink.pyroute import decoded, encoded
from netplan_tproxy.kernel.netlink.request import Request, attribute, number, short_table
from netplan_tproxy.kernel.netlink.socket import Rtnetlink

_NEWRULE, _DELRULE, _GETRULE = 32, 33, 34
_MESSAGE = struct.Struct("=8BI")  # struct fib_rule_hdr
_PRIORITY, _FWMARK, _TABLE, _FWMASK, _PROTOCOL = 6, 10, 15, 16, 21  # FRA_…
_TO_TABLE = 1  # FR_ACT_TO_TBL
_INVERT = 0x2  # FIB_RULE_INVERT
_ALL = 0xFFFFFFFF
# What a rule by mark alone consists of.
_PLAIN = {
    "FRA_TABLE", "FRA_SUPPRESS_PREFIXLEN", "FRA_PROTOCOL", "FRA_PRIORITY", "FRA_FWMARK",
    "FRA_FWMASK",
}  # fmt: skip
# What says what a rule does or is; every other attribute narrows what it selects.
_NO_SELECTORS = {*_PLAIN, "FRA_SUPPRESS_IFGROUP", "FRA_GOTO", "FRA_FLOW", "FRA_PAD"}


@dataclass(frozen=True)
class RuleRecord:
    """A rule that selects by fwmark alone and looks up a table."""

    family: int
    priority: int
    mark: int
    mask: int
    table: int
    protocol: int


@dataclass(frozen=True)
class AnyRule:
    """A rule; ``mark`` is None unless it selects by one, ``narrowed`` if by more than that.

    ``plain``: it selects by mark alone, looks up a table, and does nothing else. ``ends`` and
    ``rest`` are the words around the mark, ``action`` those that follow.
    """

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
    plain: bool = False
    ends: str = "from all"
    rest: str = ""
    action: str = ""

    def __str__(self) -> str:
        """Return it as ip-rule(8) shows it; an attribute without a word is ``…``."""
        mark = ""
        if self.mark is not None:
            full = self.mask == _ALL
            mark = f"fwmark {self.mark:#x}" if full else f"fwmark {self.mark:#x}/{self.mask:#x}"
        negated = "not" if self.inverted else ""
        words = (negated, self.ends, mark, self.rest, self.action or f"lookup {self.table}")
        six = "-6 " if self.family == socket.AF_INET6 else ""
        return f"{six}{self.priority}: {' '.join(word for word in words if word)}"


class Rules(Rtnetlink):
    """Reads and changes them."""

    def all_rules(self, family: int) -> list[AnyRule]:
        """Read all rules of a family, in the order in which they are asked."""

        def parse(reading: Reading) -> list[AnyRule]:
            rules = (decoded("fibmsg", message) for message in reading.messages)
            return [_any_rule(family, rule) for rule in rules]

        # A host on which IPv6 was disabled at boot has no rules of it.
        body = encoded("fibmsg", family=family)
        rules = self._listed("rules", _GETRULE, body, parse, errno.EAFNOSUPPORT)
        return sorted(rules, key=lambda rule: rule.priority)

    def rules(self, family: int) -> list[RuleRecord]:
        """Read the rules that select by fwmark alone."""
        return [
            RuleRecord(family, rule.priority, rule.mark, rule.mask, rule.table, rule.protocol)
            for rule in self.all_rules(family)
            if rule.plain and rule.mark is not None
        ]

    def add_rule(self, rule: RuleRecord) -> None:
        """Add a rule; one that is there already is fine."""
        self._make(adding_rule(rule))

    def del_rule(self, rule: RuleRecord) -> None:
        """Remove a rule with exactly this identity; none is fine."""
        self._make(removing_rule(rule))


def adding_rule(rule: RuleRecord) -> Request:
    """Ask for a rule; one that is there already is fine."""
    flags, fine = CREATE | EXCL, (errno.EEXIST,)
    return Request(f"add rule {rule.priority}", _NEWRULE, _body(rule), flags, fine)


def removing_rule(rule: RuleRecord) -> Request:
    """Ask for a rule with exactly this identity to go; none is fine."""
    return Request(f"remove rule {rule.priority}", _DELRULE, _body(rule), 0, (errno.ENOENT,))


def _body(rule: RuleRecord) -> bytes:
    header = _MESSAGE.pack(rule.family, 0, 0, 0, short_table(rule.table), 0, 0, _TO_TABLE, 0)
    return header + b"".join(
        (
            number(_TABLE, rule.table),
            number(_PRIORITY, rule.priority),
            number(_FWMARK, rule.mark),
            number(_FWMASK, rule.mask),
            attribute(_PROTOCOL, bytes([rule.protocol])),
        )
    )


def _any_rule(family: int, rule: Any) -> AnyRule:
    attrs = dict(rule["attrs"])
    selects = bool(rule["src_len"] or rule["dst_len"] or rule["tos"])
    looks_up = rule["action"] == _TO_TABLE
    suppresses = attrs.get("FRA_SUPPRESS_PREFIXLEN", _ALL) != _ALL
    more = selects or suppresses or rule["flags"]
    table = attrs.get("FRA_TABLE", rule["table"])
    unknown = any(
        not rule_words.is_known(name, attrs[name]) for name in attrs.keys() - _NO_SELECTORS
    )
    return AnyRule(
        family,
        attrs.get("FRA_PRIORITY", 0),
        table,
        attrs.get("FRA_PROTOCOL", 0),
        attrs.get("FRA_FWMARK"),
        attrs.get("FRA_FWMASK", _ALL),
        bool(rule["flags"] & _INVERT),
        selects or bool(attrs.keys() - _NO_SELECTORS),
        looks_up,
        suppresses,
        looks_up and not more and attrs.keys() <= _PLAIN,
        rule_words.ends(family, rule, attrs),
        " ".join(filter(None, (rule_words.rest(attrs), "…" if unknown else ""))),
        rule_words.action(rule["action"], table),
    )
