"""The interfaces and the proxy's listeners."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from netplan_tproxy.site.model import AF_INET, AF_INET6, Interface, Listener, Proxy
from netplan_tproxy.site.sections.networks import is_mapped, parse_address, written
from netplan_tproxy.site.yaml.nodes import Mapping, Scalar, Sequence
from netplan_tproxy.site.yaml.problem import Problem
from netplan_tproxy.system.text import shown

if TYPE_CHECKING:
    from netplan_tproxy.site.yaml.nodes import Node

DIRECTIONS = ("output", "forward")
DEFAULT_DIRECTIONS = ("output",)
DEFAULT_ADDRESSES = {AF_INET: "127.0.0.1", AF_INET6: "::1"}
DEFAULT_WHEN_DOWN = "drop"
LISTENERS = {"tcp": AF_INET, "tcp6": AF_INET6, "udp": AF_INET, "udp6": AF_INET6}
_LONGEST_NAME = 15  # IFNAMSIZ without its NUL


def read_interfaces(section: Mapping) -> tuple[tuple[Interface, ...], list[Problem]]:
    """Return the interfaces in the order of the file, and what is wrong with their names."""
    interfaces: list[Interface] = []
    problems: list[Problem] = []
    for entry in section.entries:
        if len(entry.key.encode()) > _LONGEST_NAME or not entry.key.isprintable():
            name = shown(entry.key)
            text = f"{name} is not an interface name of 1 to {_LONGEST_NAME} printable bytes"
            problems.append(Problem(entry.at, ("interfaces", entry.key), text))
            continue
        options = entry.value
        intercept = options.child("intercept") if isinstance(options, Mapping) else None
        interfaces.append(Interface(entry.key, _directions(intercept)))
    return tuple(interfaces), problems


def read_proxy(section: Mapping) -> tuple[Proxy, list[Problem]]:
    """Return the listeners, and what is wrong with their addresses."""
    listeners: dict[str, Listener | None] = {}
    problems: list[Problem] = []
    for key, family in LISTENERS.items():
        options = section.child(key)
        if isinstance(options, Mapping):
            listeners[key], wrong = _listener(options, key, family)
            problems += wrong
    port = section.scalar("port")
    if isinstance(port, int):
        listeners["tcp"] = Listener(DEFAULT_ADDRESSES[AF_INET], port)
    when_down = str(section.scalar("when_down", DEFAULT_WHEN_DOWN))
    return Proxy(**listeners, when_down=when_down), problems


def _directions(node: Node | None) -> tuple[str, ...]:
    items = node.items if isinstance(node, Sequence) else (node,)
    named = {item.value for item in items if isinstance(item, Scalar)}
    return tuple(way for way in DIRECTIONS if way in named) or DEFAULT_DIRECTIONS


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
        message = f"{shown(text)} is IPv4 written as IPv6, would be under {key[:-1]}"
        raise ValueError(message)
    if family == AF_INET6 and ipaddress.IPv6Address(number).is_link_local:
        message = f"{shown(text)} is of one link only, would be such as {default}"
        raise ValueError(message)
    if _several(number, family):
        message = f"{shown(text)} is not an address of one host, would be such as {default}"
        raise ValueError(message)
    return written(family, number)


def _several(number: int, family: int) -> bool:
    """Return whether an address is multicast or IPv4's broadcast address."""
    address = (ipaddress.IPv6Address if family == AF_INET6 else ipaddress.IPv4Address)(number)
    return address.is_multicast or str(address) == "255.255.255.255"
