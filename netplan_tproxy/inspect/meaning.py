"""What a site file means for traffic, in the words of a person. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from netplan_tproxy.state.site_record import SiteRecord

Line = tuple[bool, str]

ADD, KEEP, REMOVE = "add", "keep", "remove"
_MOST_NAMED = 6
_LISTENERS = {"tcp": "TCP", "tcp6": "TCP over IPv6", "udp": "UDP", "udp6": "UDP over IPv6"}
_WAYS = {"output": "leaving", "forward": "coming in by"}
_POLICY = {
    "intercept.from": "only from",
    "intercept.to": "only to",
    "intercept.ports": "only to ports",
    "bypass.from": "except from",
    "bypass.to": "except to",
    "bypass.ports": "except to ports",
    "bypass.users": "except of users",
    "bypass.cgroups": "except of cgroups",
    "bypass.marks": "except what is marked",
}


def meaning(record: SiteRecord) -> list[Line]:
    """Return a line a listener, and what narrows them; the flag says that it is of the latter."""
    values: dict[str, list[str]] = {}
    for key, text in record.values:
        values.setdefault(key, []).append(text)
    ways = " or ".join(_ways(values))
    lines = [(False, f"{_LISTENERS[name]} {ways} → {where}") for name, where in _listeners(values)]
    details = [f"{words} {_listed(values[key])}" for key, words in _POLICY.items() if key in values]
    if values.get("proxy.when_down") == ["bypass"]:
        details.append("while nobody listens it goes out directly")
    if "fastpath.cgroup" in values:
        details.append(f"past TCP for processes of cgroup {values['fastpath.cgroup'][0]}")
    return [*lines, *((True, text) for text in details)]


def difference(before: SiteRecord | None, after: SiteRecord | None) -> list[dict[str, Any]]:
    """Return what the wanted file means, and what no longer holds, as JSON values.

    Where nothing is wanted, what narrowed it is not worth a line.
    """
    old = meaning(before) if before else []
    new = meaning(after) if after else []
    judged = [
        *((KEEP if line in old else ADD, line) for line in new),
        *((REMOVE, line) for line in old if line not in new and (after or not line[0])),
    ]
    judged.sort(key=lambda one: one[1][0])
    return [{"action": action, "text": text, "detail": detail} for action, (detail, text) in judged]


def _ways(values: dict[str, list[str]]) -> Iterator[str]:
    named: dict[str, list[str]] = {}
    for key, (text, *_) in values.items():
        if key.startswith("interfaces.") and key.endswith(".intercept"):
            name = key.removeprefix("interfaces.").removesuffix(".intercept")
            for direction in text.split():
                named.setdefault(direction, []).append(name)
    for direction, words in _WAYS.items():
        if direction in named:
            yield f"{words} {_listed(named[direction])}"


def _listeners(values: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    protocols = values.get("intercept.protocols")
    for name in _LISTENERS:
        if f"proxy.{name}.port" not in values:
            continue
        if protocols is None or name.removesuffix("6") in protocols:
            address, port = values[f"proxy.{name}.address"][0], values[f"proxy.{name}.port"][0]
            yield name, f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _listed(texts: Sequence[str]) -> str:
    more = len(texts) - _MOST_NAMED
    if more <= 1:
        return ", ".join(texts)
    return f"{', '.join(texts[:_MOST_NAMED])} and {more} more"
