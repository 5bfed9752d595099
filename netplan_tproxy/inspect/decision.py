"""The decision of the programs about a new flow, made again in Python. Pure.

It follows bpf/tproxy/policy.h and reads the same maps.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from netplan_tproxy.datapath.layouts import ConfigValue
from netplan_tproxy.site.model import LISTENERS

INTERCEPTED = "intercepted"
# As in never_intercepted() and never_intercepted_v6().
_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3",
        "ff00::/8", "fe80::/10", "::/80",
    )
)  # fmt: skip
_NO_HOST = tuple(
    ipaddress.ip_network(text)
    for text in ("0.0.0.0/32", "127.0.0.0/8", "224.0.0.0/3", "ff00::/8", "fe80::/10", "::/80")
)

# Looks 16 bytes up in a set: the set's id, the number of bits, the bytes. Returns the length of
# the prefix that matched, None if none did.
Matched = Callable[[int, int, bytes], int | None]


@dataclass(frozen=True)
class Flow:
    """A new flow; ``source`` None: unknown. ``local``: a socket of this host sends it."""

    protocol: str
    source: str | None
    target: str
    port: int
    local: bool = True
    mark: int = 0
    uid: int = 0
    cgroups: tuple[int, ...] = ()
    broadcast: bool = False

    @property
    def v6(self) -> bool:
        """Whether it is IPv6."""
        return ":" in self.target

    @property
    def listener(self) -> str:
        """The name of its listener in the site file."""
        return self.protocol + ("6" if self.v6 else "")


@dataclass(frozen=True)
class Step:
    """One question and its answer; ``key`` is the key of the site file that it comes from.

    ``outcome`` is "" if the next question decides. ``bits`` is the length of the prefix that
    matched.
    """

    key: str
    matched: bool
    outcome: str = ""
    bits: int | None = None


class UnknownSourceError(Exception):
    """The answer depends on a source address that is not known."""


def decide(config: ConfigValue, flow: Flow, matched: Matched) -> list[Step]:
    """Return the questions in the order of the programs; the last one has the outcome.

    Raises UnknownSourceError.
    """
    steps = []
    for step in _questions(config, flow, matched):
        steps.append(step)
        if step.outcome:
            break
    return steps


def _questions(config: ConfigValue, flow: Flow, matched: Matched) -> Iterator[Step]:
    enabled = config.listeners[LISTENERS.index(flow.listener)] is not None
    yield Step(f"proxy.{flow.listener}", enabled, "" if enabled else "no_proxy")
    never = (flow.broadcast and flow.local) or _never(flow)
    yield Step("", never, "bypass_address" if never else "")
    for number, mark in enumerate(config.bypass):
        carried = flow.mark & mark.mask == mark.value
        key = f"bypass.marks[{number - 1}]" if number else "marks.bypass"
        yield Step(key, carried, "bypass_mark" if carried else "")
    sets = config.sets
    named = (
        ("intercept.from", sets.from_, _address(flow.source)),
        ("intercept.to", sets.to, _address(flow.target)),
        ("intercept.ports", sets.ports, _port(flow.port)),
    )
    for key, number, what in named:
        if number:
            bits = _ask(matched, number, what)
            yield Step(key, bits is not None, "" if bits is not None else "not_named", bits)
    spared: list[tuple[str, int, list[tuple[int, bytes] | None], str]] = [
        ("bypass.from", sets.bypass_from, [_address(flow.source)], "bypass_from"),
        ("bypass.to", sets.bypass_to, [_address(flow.target)], "bypass_to"),
        ("bypass.ports", sets.bypass_ports, [_port(flow.port)], "bypass_port"),
    ]
    if flow.local:
        groups: list[tuple[int, bytes] | None] = [
            (64, group.to_bytes(8, "big")) for group in flow.cgroups
        ]
        spared += [
            ("bypass.users", sets.bypass_users, [(32, flow.uid.to_bytes(4, "big"))], "bypass_user"),
            ("bypass.cgroups", sets.bypass_cgroups, groups, "bypass_cgroup"),
        ]
    for key, number, candidates, outcome in spared:
        if number:
            hits = (_ask(matched, number, what) for what in candidates)
            bits = next((hit for hit in hits if hit is not None), None)
            yield Step(key, bits is not None, outcome if bits is not None else "", bits)
    yield Step("", matched=True, outcome=INTERCEPTED)


def _never(flow: Flow) -> bool:
    target = ipaddress.ip_address(flow.target)
    if any(target in network for network in _NEVER):
        return True
    source = flow.source and ipaddress.ip_address(flow.source)
    return bool(source) and any(source in network for network in _NO_HOST)


def _ask(matched: Matched, number: int, what: tuple[int, bytes] | None) -> int | None:
    if what is None:
        raise UnknownSourceError
    length, bits = what
    return matched(number, length, bits.ljust(16, b"\0"))


def _address(text: str | None) -> tuple[int, bytes] | None:
    if text is None:
        return None
    packed = ipaddress.ip_address(text).packed
    return 128, packed if len(packed) > 4 else bytes(10) + b"\xff\xff" + packed  # noqa: PLR2004


def _port(port: int) -> tuple[int, bytes]:
    return 16, port.to_bytes(2, "big")
