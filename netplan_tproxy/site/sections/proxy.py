"""The addresses and ports of the proxy's listeners."""

from __future__ import annotations

import ipaddress

from netplan_tproxy.site.model import AF_INET, AF_INET6, LISTENERS, Listener, Proxy
from netplan_tproxy.site.sections.networks import is_mapped, parse_address, written
from netplan_tproxy.site.yaml.nodes import Mapping
from netplan_tproxy.site.yaml.problem import Problem
from netplan_tproxy.system.text import shown

DEFAULT_ADDRESSES = {AF_INET: "127.0.0.1", AF_INET6: "::1"}
DEFAULT_WHEN_DOWN = "drop"
LISTENER_FAMILIES = {name: AF_INET6 if name.endswith("6") else AF_INET for name in LISTENERS}


def read_proxy(section: Mapping) -> tuple[Proxy, list[Problem]]:
    """Return the listeners, and what is wrong with their addresses."""
    listeners: dict[str, Listener | None] = {}
    problems: list[Problem] = []
    for key, family in LISTENER_FAMILIES.items():
        options = section.child(key)
        if isinstance(options, Mapping):
            listeners[key], wrong = _listener(options, key, family)
            problems += wrong
    port = section.scalar("port")
    if isinstance(port, int):
        listeners["tcp"] = Listener(DEFAULT_ADDRESSES[AF_INET], port)
    when_down = str(section.scalar("when_down", DEFAULT_WHEN_DOWN))
    return Proxy(**listeners, when_down=when_down), problems


def _listener(options: Mapping, key: str, family: int) -> tuple[Listener | None, list[Problem]]:
    address, port = DEFAULT_ADDRESSES[family], options.scalar("port")
    entry = options.get("address")
    problems: list[Problem] = []
    if entry is not None:
        try:
            address = _parse_address(str(options.scalar("address")), key, family)
        except ValueError as error:
            problems = [Problem(entry.at, ("proxy", key, "address"), str(error))]
    return (Listener(address, port) if isinstance(port, int) else None), problems


def _parse_address(text: str, key: str, family: int) -> str:
    """Return the canonical address. Raises ValueError with the end of a message."""
    default = DEFAULT_ADDRESSES[family]
    name = "IPv6" if family == AF_INET6 else "IPv4"
    try:
        number = parse_address(family, text)
    except ValueError:
        message = f"{shown(text)} is not an {name} address such as {default}"
        raise ValueError(message) from None
    if family == AF_INET6 and is_mapped(number):
        message = f"{shown(text)} is IPv4 written as IPv6, expected under {key[:-1]}"
        raise ValueError(message)
    if family == AF_INET6 and ipaddress.IPv6Address(number).is_link_local:
        message = f"{shown(text)} is of one link only, expected something like {default}"
        raise ValueError(message)
    if _several(number, family):
        message = f"{shown(text)} is not an address of one host, expected something like {default}"
        raise ValueError(message)
    return written(family, number)


def _several(number: int, family: int) -> bool:
    """Return whether an address is multicast or IPv4's broadcast address."""
    address = (ipaddress.IPv6Address if family == AF_INET6 else ipaddress.IPv4Address)(number)
    return address.is_multicast or str(address) == "255.255.255.255"
