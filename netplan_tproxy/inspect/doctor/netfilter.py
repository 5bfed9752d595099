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
_META_MARK = {"meta": {"key": "mark"}}
_SET_MARK = re.compile(r"--(set-xmark|set-mark|and-mark|restore-mark)(?: (\w+)(?:/(\w+))?)?")


def examine(target: Target) -> list[Finding]:
    """Read the ruleset and judge it."""
    if not target.privileged:
        text = "nftables and iptables cannot be read without CAP_NET_ADMIN"
        return [unseen("netfilter.marks", text, "run it with sudo to see")]
    ruleset = read_ruleset()
    missing = [
        unseen("netfilter.marks", why, "apt install nftables to see") for why in ruleset.unread
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
            "let it change its own bits alone (mark and MASK or VALUE), or choose other bits for "
            "marks.intercept in the site file",
        )
    if not bad:
        yield ok("netfilter.marks", f"nothing writes over {target.intercept_mark} on the way")
    for chain in _closed_inputs(ruleset, target.intercept_mark):
        yield warn(
            "netfilter.input",
            f"{chain} drops what no rule accepts, and no rule accepts our mark: intercepted "
            "packets go through it with their original ports",
            f"accept them: {_accepting(target.intercept_mark, chain)}",
        )
    many = len(target.intercepting("output")) > 1
    for where, spared in _reverse_paths(ruleset):
        if many or not spared:
            yield warn(
                "netfilter.rpfilter",
                f"{where} drops packets from an unlikely source, as intercepted ones are: they "
                "come in by lo"
                + (", and replies to bound clients by other uplinks" if many else ""),
                f"let it accept our mark first ({_accepting(target.intercept_mark, where)}), or "
                "take it away (firewalld: IPv6_rpfilter=no)",
            )
    for where in _other_proxies(ruleset):
        yield warn(
            "netfilter.tproxy",
            f"{where} is a transparent proxy of another kind",
            "bypass here what it takes, or remove it",
        )


def _accepting(mark: Mark, chain: str) -> str:
    if "iptables" in chain:
        return f"iptables -I INPUT -m mark --mark {mark} -j ACCEPT"
    return f"meta mark and {mark.mask:#x} == {mark.value:#x} accept"


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


def _closed_inputs(ruleset: Ruleset, ours: Mark) -> Iterator[str]:
    for place, chain in _chains(ruleset).items():
        if chain.get("hook") == "input" and chain.get("policy") == "drop":
            text = [json.dumps(rule) for rule, where in _rules(ruleset) if where == place]
            if not any('"mark"' in line and '"accept"' in line for line in text):
                yield _name(place)
    legacy = ruleset.legacy
    if ":INPUT DROP" in "\n".join(legacy) and not any(
        line.startswith("-A INPUT") and f"--mark {ours}" in line and "ACCEPT" in line
        for line in legacy
    ):
        yield "iptables chain INPUT"


def _reverse_paths(ruleset: Ruleset) -> Iterator[tuple[str, bool]]:
    """Yield the rules that check sources, and whether marked packets are accepted before."""
    spared = set()
    for rule, place in _rules(ruleset):
        text = json.dumps(rule.get("expr", ()))
        if '"mark"' in text and '"accept"' in text:
            spared.add(place)
        if '"fib": {"result": "oif", "flags": ["saddr"' in text and '"drop"' in text:
            yield _name(place), place in spared
    for line in ruleset.legacy:
        if "-m rpfilter" in line and "--invert" in line and "DROP" in line:
            yield f"iptables rule '{line}'", False


def _other_proxies(ruleset: Ruleset) -> Iterator[str]:
    for rule, place in _rules(ruleset):
        text = json.dumps(rule.get("expr", ()))
        if '"tproxy"' in text or '"TPROXY"' in text:
            yield _name(place)
    for line in ruleset.legacy:
        if "-j TPROXY" in line:
            yield f"iptables rule '{line}'"
