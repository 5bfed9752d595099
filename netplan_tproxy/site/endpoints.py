"""The interfaces and the proxy's listeners."""

from __future__ import annotations

import ipaddress

from netplan_tproxy.site.model import Interface, Listener, Proxy
from netplan_tproxy.site.nodes import Mapping
from netplan_tproxy.site.problem import Problem, shown

DEFAULT_ADDRESS = "127.0.0.1"
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
        intercept = options.scalar("intercept") if isinstance(options, Mapping) else None
        interfaces.append(Interface(entry.key, str(intercept or "output")))
    return tuple(interfaces), problems


def read_proxy(section: Mapping) -> tuple[Proxy, list[Problem]]:
    """Return the listeners, and what is wrong with their addresses."""
    listener = section.child("tcp")
    if not isinstance(listener, Mapping):
        return Proxy(_listener(DEFAULT_ADDRESS, section)), []
    address = str(listener.scalar("address", DEFAULT_ADDRESS))
    entry = listener.get("address")
    problems: list[Problem] = []
    if entry is not None and (wrong := _address_problem(address)):
        problems = [Problem(entry.at, ("proxy", "tcp", "address"), wrong)]
    return Proxy(_listener(address, listener)), problems


def _listener(address: str, options: Mapping) -> Listener | None:
    port = options.scalar("port")
    return Listener(address, port) if isinstance(port, int) else None


def _address_problem(text: str) -> str | None:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return f"{shown(text)} is not an IPv4 address such as {DEFAULT_ADDRESS}"
    if address.is_multicast or address == ipaddress.IPv4Address("255.255.255.255"):
        return f"{shown(text)} is not an address of one host, would be such as {DEFAULT_ADDRESS}"
    return None
