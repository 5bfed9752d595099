"""Kernel settings: their names in one form, their values as text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from netplan_tproxy.site.yaml.nodes import Entry, Mapping, Scalar
from netplan_tproxy.site.yaml.problem import Path, Position, Problem
from netplan_tproxy.system.text import shown

if TYPE_CHECKING:
    from netplan_tproxy.site.yaml.nodes import Value

ACCEPT_LOCAL = "net/ipv4/conf/lo/accept_local"
_LONGEST_NAME = 255
_LONGEST_VALUE = 4095
_SWAP = str.maketrans("./", "/.")
# The tables devinet_sysctl, addrconf_sysctl and neigh_sysctl_table of the kernel.
_WHOLE_NUMBERS = re.compile(
    r"net/ipv4/ip_forward|net/ipv[46]/(conf|neigh)/[^/]+/(?!stable_secret$)[^/]+"
)
WHOLE_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)")  # as the kernel shows it afterwards


def parse_name(text: str) -> str:
    """Return a setting's path below /proc/sys, such as ``net/ipv4/ip_forward``.

    As in sysctl(8), the first separator decides: after a '/' dots are part of a name, after a
    '.' the two are exchanged, so ``net.ipv4.conf.eth0/10.rp_filter`` is the setting of eth0.10.
    Raises ValueError with the end of a message.
    """
    if text.startswith("/"):
        right = text.removeprefix("/proc/sys/").lstrip("/") or "net/ipv4/ip_forward"
        message = f"{shown(text)} is an absolute path, expected {shown(right)}"
        raise ValueError(message)
    first = next((char for char in text if char in "./"), "")
    name = text.translate(_SWAP) if first == "." else text
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        message = f"{shown(text)} has an empty or '..' part, expected something like "
        message += "'net.ipv4.ip_forward'"
        raise ValueError(message)
    if not text.isprintable() or " " in text or len(text.encode()) > _LONGEST_NAME:
        message = f"{shown(text)} is not a setting's name such as 'net.ipv4.ip_forward'"
        raise ValueError(message)
    if parts[0] != "net" or len(parts) == 1:
        message = f"{shown(text)} is not below net, expected something like 'net.ipv4.ip_forward'"
        raise ValueError(message)
    return name


def parse_value(value: Value) -> str:
    """Return a setting's value as text; yes and no are 1 and 0.

    Raises ValueError with the end of a message.
    """
    text = str(int(value)) if isinstance(value, bool) else str(value).strip(" \t")
    if not text:
        message = "value is empty, expected a number or text"
        raise ValueError(message)
    if not text.replace("\t", " ").isprintable():
        message = f"{shown(text)} has a line break or control character, expected one line of text"
        raise ValueError(message)
    if len(text.encode()) > _LONGEST_VALUE:
        message = f"value is longer than {_LONGEST_VALUE} bytes, expected shorter"
        raise ValueError(message)
    return text


def read_sysctls(section: Mapping) -> tuple[tuple[tuple[str, str], ...], list[Problem]]:
    """Return names and values in the order of the file, and what is wrong with them.

    ``accept_local`` of lo is always among them.
    """
    settings: dict[str, str] = {}
    seen: dict[str, Position] = {}
    problems: list[Problem] = []
    for entry in section.entries:
        path: Path = ("sysctls", entry.key)
        try:
            name, value = parse_name(entry.key), parse_value(_value(entry))
            _check_number(name, value)
            _check_accept_local(name, value)
        except ValueError as error:
            problems.append(Problem(entry.at, path, str(error)))
            continue
        if name in seen:
            text = f"{name} is given twice, first at {seen[name]}, expected one of the two"
            problems.append(Problem(entry.at, path, text))
            continue
        seen[name] = entry.at
        settings[name] = value
    if ACCEPT_LOCAL not in settings:
        settings = {ACCEPT_LOCAL: "1"} | settings
    return tuple(settings.items()), problems


def _value(entry: Entry) -> Value:
    return entry.value.value if isinstance(entry.value, Scalar) else None


def _check_number(name: str, value: str) -> None:
    if _WHOLE_NUMBERS.fullmatch(name) and not WHOLE_NUMBER.fullmatch(value):
        message = f"{shown(value)} is not a whole number, expected something like 1"
        raise ValueError(message)


def _check_accept_local(name: str, value: str) -> None:
    if name == ACCEPT_LOCAL and value != "1":
        message = (
            f"{shown(value)} would make the kernel drop intercepted packets, whose sources "
            "are addresses of this host, expected 1"
        )
        raise ValueError(message)
