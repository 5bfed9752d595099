"""Netfilter rules that rewrite the mark, or keep intercepted packets from the proxy."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import reduce
from operator import or_
from typing import Any

from netplan_tproxy.inspect.doctor.finding import Finding, ok, unseen, warn
from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.kernel.host.netfilter import Ruleset, read_ruleset
from netplan_tproxy.site.model import Mark

_ALL = 0xFFFFFFFF
# The hook between lo's tc filters, which set the mark, and the routing decision, which uses it.
# In other hooks the mark is not set yet, or not needed any more.
_HOOK = "prerouting"
_IPTABLES = {"ip": "iptables", "ip6": "ip6tables"}
_IPTABLES_TABLES = frozenset({"filter", "mangle", "nat", "raw", "security"})
_META_MARK = {"meta": {"key": "mark"}}
_SET_MARK = re.compile(r"--(set-xmark|set-mark|and-mark|restore-mark)(?: (\w+)(?:/(\w+))?)?")


def examine(target: Target) -> list[Finding]:
    """Read the ruleset and judge it."""
    if not target.privileged:
        text = "nftables and iptables cannot be read without CAP_NET_ADMIN"
        return [unseen("netfilter.marks", text, "run it with sudo to see")]
    ruleset = read_ruleset()
    missing = [
        unseen("netfilter.marks", why, "`apt install nftables` to see") for why in ruleset.unread
    ]
    return [*missing, *judged(target, ruleset)]


def judged(target: Target, ruleset: Ruleset) -> Iterator[Finding]:
    """Judge a ruleset. Pure."""
    bad = [*_rewriting(ruleset, target.intercept_mark)]
    for where in bad:
        yield warn(
            "netfilter.marks",
            f"{where} writes over bits of {target.intercept_mark} before packets are routed: "
            "what it meets does not get to the proxy",
            f"let it keep our bits ({keeping(target.intercept_mark)}), or choose other bits for "
            "marks.intercept in the site file",
        )
    if not bad:
        yield ok("netfilter.marks", f"nothing writes over {target.intercept_mark} on the way")
    for chain, command in _closed_inputs(ruleset, target.intercept_mark):
        yield warn(
            "netfilter.input",
            f"{chain} drops what no rule accepts, and no rule accepts our mark: intercepted "
            "packets go through it with their original ports",
            f"accept them: `{command}`",
        )
    many = len(target.intercepting("output")) > 1
    for where, command in _reverse_paths(ruleset, target.intercept_mark):
        if many or command:
            first = f"accept our mark before it (`{command}`), or " if command else ""
            yield warn(
                "netfilter.rpfilter",
                f"{where} drops packets from an unlikely source, as intercepted ones are: they "
                "come in by lo"
                + (", and replies to bound clients by other uplinks" if many else ""),
                f"{first}take that rule away (firewalld: IPv6_rpfilter=no)",
            )
    for where in _other_proxies(ruleset):
        yield warn(
            "netfilter.tproxy",
            f"{where} is a transparent proxy of another kind",
            "bypass here what it takes, or remove it",
        )


def keeping(mark: Mark) -> str:
    """Return how a rule of nftables, or of iptables, sets a bit of its own and keeps ours. Pure."""
    own = next(1 << bit for bit in (*range(8, 32), *range(8)) if not mark.mask >> bit & 1)
    nft = f"nftables: `meta mark set meta mark and {_ALL & ~own:#x} or {own:#x}`"
    return f"{nft}, iptables: `-j MARK --set-xmark {own:#x}/{own:#x}`"


def _accepting(place: tuple[str, str, str], mark: Mark) -> str:
    """Return the command that accepts our mark at the begin of a chain of nftables."""
    family, table, chain = place
    # iptables-nft(8) does not read its own tables any more once another tool has changed them.
    if family in _IPTABLES and table in _IPTABLES_TABLES and chain.isupper():
        return _iptables(_IPTABLES[family], table, chain, mark)
    bits = f"meta mark and {mark.mask:#x} == {mark.value:#x}"
    return f"nft insert rule {family} {table} {chain} {bits} accept"


def _iptables(tool: str, table: str, chain: str, mark: Mark) -> str:
    return f"{tool} -t {table} -I {chain} -m mark --mark {mark} -j ACCEPT"


def _chains(ruleset: Ruleset) -> dict[tuple[str, str, str], Mapping[str, Any]]:
    chains = [item["chain"] for item in ruleset.nft if "chain" in item]
    return {(one["family"], one["table"], one["name"]): one for one in chains}


def _rules(ruleset: Ruleset) -> Iterator[tuple[Mapping[str, Any], tuple[str, str, str]]]:
    for item in ruleset.nft:
        if "rule" in item:
            rule = item["rule"]
            yield rule, (rule["family"], rule["table"], rule["chain"])


def _name(place: tuple[str, str, str]) -> str:
    return f"nft chain {' '.join(place)}"


def _rewriting(ruleset: Ruleset, ours: Mark) -> Iterator[str]:
    chains = _chains(ruleset)
    for rule, place in _rules(ruleset):
        # A chain without a hook may be reached from that hook by a jump.
        if chains.get(place, {}).get("hook", _HOOK) == _HOOK:
            for statement in rule.get("expr", ()):
                if _changed(statement) & ours.mask:
                    yield _name(place)
    for line in ruleset.legacy:
        if line.startswith("-A PREROUTING") and _legacy_changes(line) & ours.mask:
            yield f"iptables rule '{line}'"


def _changed(statement: Any) -> int:
    """Return the bits of the mark that a statement of nft changes."""
    mangle = statement.get("mangle") if isinstance(statement, dict) else None
    if not mangle or mangle.get("key") != _META_MARK:
        return 0
    return _ALL & ~_kept(mangle.get("value"))


def _kept(value: Any) -> int:
    """Return the bits of the mark that an expression leaves as they are."""
    if value == _META_MARK:
        return _ALL
    if not isinstance(value, dict) or len(value) != 1:
        return 0
    ((operator, ends),) = value.items()
    if operator not in {"|", "^", "&"} or not isinstance(ends, list):
        return 0
    inner, bits = ends[0], ends[-1]
    if not isinstance(bits, int):
        return 0
    return _kept(inner) & (bits if operator == "&" else ~bits)


def _legacy_changes(line: str) -> int:
    """Return the bits of the mark that an iptables rule changes."""
    option = _SET_MARK.search(line)
    if option is None or not ("-j MARK" in line or "-j CONNMARK --restore" in line):
        return 0
    how, value, mask = option[1], option[2], option[3]
    if how == "restore-mark":
        given = re.findall(r"--(?:mask|nfmask|ctmask) (\w+)", line)
        return reduce(or_, (int(word, 16) for word in given)) if given else _ALL
    return int(mask, 16) if mask else _ALL if value else 0


def _closed_inputs(ruleset: Ruleset, ours: Mark) -> Iterator[tuple[str, str]]:
    """Yield the input chains that would drop intercepted packets, and what accepts them."""
    for place, chain in _chains(ruleset).items():
        if chain.get("hook") == "input" and chain.get("policy") == "drop":
            text = [json.dumps(rule) for rule, where in _rules(ruleset) if where == place]
            if not any('"mark"' in line and '"accept"' in line for line in text):
                yield _name(place), _accepting(place, ours)
    for tool, table, line in _legacy(ruleset):
        if line.startswith(":INPUT DROP") and not any(
            other.startswith("-A INPUT") and f"--mark {ours}" in other and "ACCEPT" in other
            for its_tool, its_table, other in _legacy(ruleset)
            if (its_tool, its_table) == (tool, table)
        ):
            yield "iptables chain INPUT", _iptables(tool, table, "INPUT", ours)


def _reverse_paths(ruleset: Ruleset, ours: Mark) -> Iterator[tuple[str, str]]:
    """Yield the rules that check sources, and what accepts our mark; "" if one before does."""
    spared = set()
    for rule, place in _rules(ruleset):
        text = json.dumps(rule.get("expr", ()))
        if '"mark"' in text and '"accept"' in text:
            spared.add(place)
        if '"fib": {"result": "oif", "flags": ["saddr"' in text and '"drop"' in text:
            yield _name(place), "" if place in spared else _accepting(place, ours)
    for tool, table, line in _legacy(ruleset):
        if "-m rpfilter" in line and "--invert" in line and "DROP" in line:
            yield f"iptables rule '{line}'", _iptables(tool, table, "PREROUTING", ours)


def _legacy(ruleset: Ruleset) -> Iterator[tuple[str, str, str]]:
    """Yield the lines of iptables-save(8), each with the program and the table that it is of."""
    tool, table = "iptables", "filter"
    for line in ruleset.legacy:
        if line.startswith("# "):
            tool = line.removeprefix("# ")
        elif line.startswith("*"):
            table = line.removeprefix("*")
        else:
            yield tool, table, line


def _other_proxies(ruleset: Ruleset) -> Iterator[str]:
    for rule, place in _rules(ruleset):
        text = json.dumps(rule.get("expr", ()))
        if '"tproxy"' in text or '"TPROXY"' in text:
            yield _name(place)
    for line in ruleset.legacy:
        if "-j TPROXY" in line:
            yield f"iptables rule '{line}'"
