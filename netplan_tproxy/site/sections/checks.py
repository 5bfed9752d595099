"""What must still work after a change."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from netplan_tproxy.site.model import AF_INET, AF_INET6, Check
from netplan_tproxy.site.sections.networks import parse_address
from netplan_tproxy.site.sections.ports import LARGEST_PORT
from netplan_tproxy.site.yaml.nodes import Entry, Mapping, Sequence
from netplan_tproxy.site.yaml.problem import Problem
from netplan_tproxy.system.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from netplan_tproxy.site.yaml.nodes import Node

KINDS = ("tcp", "ping", "dns", "intercepted")
DEFAULT_TIMEOUT = 3
_LONGEST_NAME = 253  # RFC 1035, 2.3.4, as text
# Also keeps a name from being read as an option by the command that is given it.
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")


def read_checks(node: Node | None) -> tuple[tuple[Check, ...], list[Problem]]:
    """Return the checks in the order of the file, and what is wrong with their targets."""
    checks: list[Check] = []
    problems: list[Problem] = []
    for index, item in enumerate(node.items if isinstance(node, Sequence) else ()):
        entry = _what(item)
        if entry is None or not isinstance(item, Mapping):
            continue
        target = str(item.scalar(entry.key))
        if wrong := _target_problem(entry.key, target):
            problems.append(Problem(entry.at, ("checks", index, entry.key), wrong))
        timeout = item.scalar("timeout", DEFAULT_TIMEOUT)
        seconds = float(timeout if isinstance(timeout, int) else DEFAULT_TIMEOUT)
        checks.append(Check(entry.key, target, seconds))
    return tuple(checks), problems


def _what(item: Node) -> Entry | None:
    entries = item.entries if isinstance(item, Mapping) else ()
    return next((entry for entry in entries if entry.key in KINDS), None)


def _target_problem(kind: str, target: str) -> str | None:
    if kind == "tcp" and not _is_end(target, _is_host):
        return f"{shown(target)} is not HOST:PORT such as '192.0.2.1:443' or '[2001:db8::1]:443'"
    if kind == "intercepted" and not _is_end(target, partial(_is_address, AF_INET)):
        return f"{shown(target)} is not ADDRESS:PORT such as '1.1.1.1:80' or '[2001:db8::1]:80'"
    if kind == "ping" and not (_is_host(target) or _is_address(AF_INET6, target)):
        return f"{shown(target)} is not a host such as 192.0.2.1"
    if kind == "dns" and (not _is_name(target) or _is_address(AF_INET, target)):
        return f"{shown(target)} is not a host name such as example.com"
    return None


def _is_end(target: str, is_host: Callable[[str], bool]) -> bool:
    """Return whether it is a host and a port; an IPv6 address is in brackets."""
    host, colon, port = target.rpartition(":")
    inner = host.removeprefix("[").removesuffix("]")
    right = _is_address(AF_INET6, inner) if host == f"[{inner}]" else is_host(host)
    return bool(colon and right and _PORT.fullmatch(port)) and int(port) <= LARGEST_PORT


def _is_host(text: str) -> bool:
    return _is_address(AF_INET, text) or _is_name(text)


def _is_name(text: str) -> bool:
    labels = text.removesuffix(".").split(".")
    # A last label of digits alone makes it an address, and a wrong one (RFC 1123, 2.1).
    return (
        len(text) <= _LONGEST_NAME
        and all(_LABEL.fullmatch(label) for label in labels)
        and not labels[-1].isdecimal()
    )


def _is_address(family: int, text: str) -> bool:
    try:
        parse_address(family, text)
    except ValueError:
        return False
    return True
