"""What was applied, in the site file's own terms: kept beside the ledger. Pure.

``values`` is the file with every default filled in, a line a value; ``items`` is what the
file itself says and where, for those who ask which line of it decides.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netplan_tproxy.site.model import AF_INET, AF_INET6, Mark, Policy, Prefix, Rule, Site
from netplan_tproxy.site.sections.networks import is_mapped, written
from netplan_tproxy.system.text import rfc3339

MOST_LISTED = 64
MOST_ITEMS = 2000
_V4 = 96

Pair = tuple[str, str]


@dataclass(frozen=True)
class Item:
    """A value that stands in the file; ``key`` as in ``bypass.to[0]``."""

    key: str
    text: str
    line: int
    column: int


@dataclass(frozen=True)
class SiteRecord:
    """A site file as it was applied. ``at`` in seconds since 1970."""

    name: str
    source: str
    values: tuple[Pair, ...]
    items: tuple[Item, ...]
    at: float = 0.0

    def says_as(self, other: SiteRecord | None) -> bool:
        """Whether another one is the same but for the time."""
        return other is not None and self == SiteRecord(
            other.name, other.source, other.values, other.items, self.at
        )

    def items_below(self, key: str) -> list[Item]:
        """Give the values of a list such as ``bypass.to``, or the one value of a key."""
        return [item for item in self.items if item.key.partition("[")[0] == key]

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {
            "name": self.name,
            "source": self.source,
            "at": self.at,
            "values": [list(pair) for pair in self.values],
            "items": [[item.key, item.text, item.line, item.column] for item in self.items],
        }


def from_json(values: Mapping[str, Any] | None) -> SiteRecord | None:
    """Read back what ``to_json`` gave. Raises KeyError, TypeError or ValueError on nonsense."""
    if values is None:
        return None
    return SiteRecord(
        name=str(values["name"]),
        source=str(values["source"]),
        values=tuple((str(key), str(text)) for key, text in values["values"]),
        items=tuple(
            Item(str(key), str(text), int(line), int(column))
            for key, text, line, column in values["items"]
        ),
        at=float(values["at"]),
    )


def record_of(site: Site, source: str, at: float) -> SiteRecord:
    """Give what is kept of a site; ``source`` is the file's absolute path."""
    items: list[Item] = []
    for key, text in site.texts.items():
        if len(items) == MOST_ITEMS:
            break
        line, column = site.where.get(key, (1, 1))
        items.append(Item(key, text, line, column))
    return SiteRecord(site.name, source, tuple(site_values(site)), tuple(items), at)


def site_values(site: Site) -> Iterator[Pair]:
    """Give a whole site, defaults too, as keys and values; a list has a pair an element."""
    yield "site", site.name
    for interface in site.interfaces:
        yield f"interfaces.{interface.name}.intercept", " ".join(interface.intercept)
    for name, listener in site.proxy.listeners.items():
        if listener is not None:
            yield f"proxy.{name}.address", listener.address
            yield f"proxy.{name}.port", str(listener.port)
    yield "proxy.when_down", site.proxy.when_down
    yield "attach", site.attach
    yield "marks.intercept", str(site.intercept_mark)
    yield "marks.bypass", str(site.bypass_mark)
    yield from _routes(site)
    for rule in site.rules:
        yield "rules", _rule(rule)
    for path, value in site.sysctls:
        yield f"sysctls.{path.replace('/', '.')}", value
    yield from _policy(site.policy)
    for check in site.checks:
        yield "checks", f"{check.kind} {check.target} timeout {check.timeout:g}"
    fast = site.fastpath
    yield "fastpath.enabled", str(fast.enabled).lower()
    if fast.enabled:
        yield "fastpath.cgroup", fast.cgroup
        yield "fastpath.budget", str(fast.budget)
        yield from _listed("fastpath.ports", _ranges(fast.ports or ()))
        yield from _listed("fastpath.accept", fast.accept)


def _routes(site: Site) -> Iterator[Pair]:
    tables: dict[int, list[str]] = {}
    for route in site.routes:
        tables.setdefault(route.table, []).append(str(route))
    for table, texts in tables.items():
        if len(texts) > MOST_LISTED:
            digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:8]
            texts[:] = [f"{len(texts)} routes ({digest})"]
        for text in texts:
            yield f"route_tables.{table}", text


def _rule(rule: Rule) -> str:
    priority = "" if rule.priority is None else f" priority {rule.priority}"
    families = " ".join({AF_INET: "IPv4", AF_INET6: "IPv6"}[family] for family in rule.families)
    return f"mark {rule.mark} table {rule.table}{priority} {families}"


def _policy(policy: Policy) -> Iterator[Pair]:
    yield from _listed("intercept.from", _networks(policy.intercept_from or ()))
    yield from _listed("intercept.to", _networks(policy.intercept_to or ()))
    yield from _listed("intercept.ports", _ranges(policy.intercept_ports or ()))
    yield from _listed("intercept.protocols", policy.protocols or ())
    yield from _listed("bypass.from", _networks(policy.bypass_from))
    yield from _listed("bypass.to", _networks(policy.bypass_to))
    yield from _listed("bypass.ports", _ranges(policy.bypass_ports))
    yield from _listed("bypass.users", policy.bypass_users)
    yield from _listed("bypass.cgroups", policy.bypass_cgroups)
    yield from _listed("bypass.marks", _marks(policy.bypass_marks))


def _listed(key: str, texts: Iterable[str] | _Networks) -> Iterator[Pair]:
    """A long list by its size and digest: the file is there to be read."""
    if isinstance(texts, _Networks) and len(texts.prefixes) > MOST_LISTED:
        content = b"".join(length.to_bytes(1, "big") + bits for length, bits in texts.prefixes)
        digest = hashlib.sha256(content).hexdigest()[:8]
        yield key, f"{len(texts.prefixes)} networks ({digest})"
        return
    for text in texts:
        yield key, text


@dataclass(frozen=True)
class _Networks:
    prefixes: Sequence[Prefix]

    def __iter__(self) -> Iterator[str]:
        return (network_text(length, bits) for length, bits in self.prefixes)


def _networks(prefixes: Sequence[Prefix]) -> _Networks:
    return _Networks(prefixes)


def network_text(length: int, bits: bytes) -> str:
    """Give a prefix of the programs' one address space as the network it is."""
    number = int.from_bytes(bits, "big")
    if length >= _V4 and is_mapped(number):
        return f"{written(AF_INET, number & 0xFFFFFFFF)}/{length - _V4}"
    return f"{written(AF_INET6, number)}/{length}"


def _ranges(ports: Iterable[tuple[int, int]]) -> list[str]:
    return [f"{low}-{high}" if low < high else str(low) for low, high in ports]


def _marks(marks: Iterable[Mark]) -> list[str]:
    return [str(mark) for mark in marks]


def diff_report(before: SiteRecord | None, after: SiteRecord | None) -> dict[str, Any]:
    """Say what a file says otherwise than the one applied last; None: nothing is."""
    old, new = _by_key(before), _by_key(after)
    found = []
    for key in dict.fromkeys([*new, *old]):
        was, is_ = Counter(old.get(key, ())), Counter(new.get(key, ()))
        found += [
            {"action": "remove", "key": key, "value": text} for text in (was - is_).elements()
        ]
        found += [{"action": "add", "key": key, "value": text} for text in (is_ - was).elements()]
    return {"applied": _named(before), "file": _named(after), "keys": found}


def _by_key(which: SiteRecord | None) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, text in which.values if which else ():
        found.setdefault(key, []).append(text)
    return found


def _named(which: SiteRecord | None) -> dict[str, Any] | None:
    if which is None:
        return None
    at = which.at or None
    when = None if at is None else rfc3339(at)
    return {"site": which.name, "file": which.source, "at": at, "time": when}
