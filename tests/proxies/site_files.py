"""Reads the keys of site files that ``site.load`` does not know yet. To go when it does."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import yaml

from netplan_tproxy.errors import SiteError
from netplan_tproxy.site.load import load
from netplan_tproxy.site.model import (
    Interface,
    Listener,
    Mark,
    Policy,
    Prefix,
    Proxy,
    Route,
    Rule,
    Site,
)

_INTERCEPT = Mark(1, 1)


def read(path: str) -> Site:
    try:
        return load(path)
    except SiteError:
        return _by_hand(yaml.safe_load(Path(path).read_text()))


def _by_hand(text: dict[str, Any]) -> Site:
    proxy = Proxy(**{which: Listener(**where) for which, where in text["proxy"].items()})
    to = {2: "0.0.0.0/0", 10: "::/0"}
    bypass = text.get("bypass", {})
    ports = text.get("intercept", {}).get("ports")
    policy = Policy(
        intercept_ports=ports and tuple((port, port) for port in ports),
        bypass_to=tuple(_prefix(network) for network in bypass.get("to", [])),
        bypass_users=tuple(bypass.get("users", [])),
    )
    return Site(
        "default",
        tuple(Interface(name, (how["intercept"],)) for name, how in text["interfaces"].items()),
        proxy,
        _INTERCEPT,
        Mark(2, 2),
        tuple(Route(100, to[family]) for family in proxy.families),
        (Rule(_INTERCEPT, 100, None, proxy.families),),
        (("net/ipv4/conf/lo/accept_local", "1"),),
        policy,
    )


def _prefix(network: str) -> Prefix:
    found = ipaddress.IPv4Network(network)
    return found.prefixlen + 96, bytes(10) + b"\xff\xff" + found.network_address.packed
