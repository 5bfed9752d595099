"""Source NAT of what this host itself sends out of an intercepted interface."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from netplan_tproxy.errors import KernelError
from netplan_tproxy.inspect.doctor.finding import Finding, ok, warn
from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.kernel.host.netfilter import Ruleset, read_ruleset
from netplan_tproxy.kernel.netlink.route_get import way_to

_FAR = ("1.1.1.1", "2606:4700:4700::1111")  # only the way there is asked for
_CODE = "nat.source"


def examine(target: Target) -> list[Finding]:
    """Read the ruleset, where there is anything to find in it, and judge it."""
    if not (target.privileged and target.intercepting("output")):
        return []
    return list(judged(target, read_ruleset(), _own_sources()))


def _own_sources() -> list[str]:
    sources = []
    for far in _FAR:
        try:
            sources.append(way_to(far).source)
        except KernelError:  # a family that this host does not have
            continue
    return [source for source in sources if source]


def judged(target: Target, ruleset: Ruleset, own: list[str]) -> Iterator[Finding]:
    """Judge a ruleset; ``own`` are addresses that this host sends from. Pure."""
    rewriting = [*_nft(ruleset, set(target.intercepting("output")), own), *_iptables(ruleset)]
    for where in rewriting:
        yield warn(
            _CODE,
            f"{where} gives what this host sends another address than it sends from: of a "
            "datagram whose socket is not connected nobody can tell that, and it gets no answer",
            "let that rule spare what this host itself sends (`fib saddr type local accept` before "
            "it), or use masquerade for it",
        )
    if not rewriting:
        yield ok(_CODE, "no source NAT that does harm on the way of what this host sends")


def _nft(ruleset: Ruleset, devices: set[str], own: list[str]) -> Iterator[str]:
    chains = {
        (one["family"], one["table"], one["name"]): one
        for one in (item["chain"] for item in ruleset.nft if "chain" in item)
    }
    spared = set()
    for rule in (item["rule"] for item in ruleset.nft if "rule" in item):
        place = (rule["family"], rule["table"], rule["chain"])
        words = [one for one in rule.get("expr", ()) if isinstance(one, dict)]
        if chains.get(place, {}).get("hook", "postrouting") != "postrouting":
            continue
        if _spares_own(words):
            spared.add(place)
        if (
            place not in spared
            and any(_rewrites(word, own) for word in words)
            and _meets(words, devices, own)
        ):
            yield f"a rule of nft chain {' '.join(place)}"


def _spares_own(words: Sequence[Mapping[str, Any]]) -> bool:
    fib = {"fib": {"result": "type", "flags": ["saddr"]}}
    accepts = any("accept" in one or "return" in one for one in words)
    return accepts and any(one.get("match", {}).get("left") == fib for one in words)


def _rewrites(statement: Mapping[str, Any], own: Sequence[str]) -> bool:
    """Whether a statement gives a packet an address that this host does not send from, or may.

    Another port does no harm: the socket tells its own.
    """
    if statement.get("xt") == {"type": "target", "name": "SNAT"}:
        return True
    how = statement.get("snat", ())
    return "snat" in statement and not (isinstance(how, dict) and how.get("addr") in own)


def _meets(words: Sequence[Mapping[str, Any]], devices: set[str], own: list[str]) -> bool:
    """Whether what this host sends out of one of the devices may come to a rule's end."""
    for match in (one["match"] for one in words if "match" in one):
        left, right, plain = match.get("left"), match.get("right"), match.get("op") in {"==", "in"}
        if not isinstance(left, dict) or not plain:
            continue
        key = left.get("meta", {}).get("key")
        if key in {"iif", "iifname"}:
            return False  # what this host sends came in nowhere
        if key in {"oif", "oifname"} and isinstance(right, str) and right not in devices:
            return False
        network = _network(right) if left.get("payload", {}).get("field") == "saddr" else None
        if network is not None and not any(ipaddress.ip_address(one) in network for one in own):
            return False
    return True


def _network(right: Any) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    prefix = right.get("prefix") if isinstance(right, dict) else None
    text = f"{prefix['addr']}/{prefix['len']}" if prefix else right
    try:
        return ipaddress.ip_network(text, strict=False) if isinstance(text, str) else None
    except ValueError:
        return None


_SNAT = re.compile(r"-j SNAT")


def _iptables(ruleset: Ruleset) -> Iterator[str]:
    for line in ruleset.legacy:
        if line.startswith("-A POSTROUTING") and _SNAT.search(line) and " -s " not in line:
            yield f"iptables rule '{line}'"
