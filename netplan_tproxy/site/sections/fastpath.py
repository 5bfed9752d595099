"""The fast path between client and proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netplan_tproxy.site.model import Fastpath
from netplan_tproxy.site.sections.items import read_items, scalars
from netplan_tproxy.site.sections.ports import merge_ports, parse_ports
from netplan_tproxy.site.sections.users_cgroups import parse_cgroup
from netplan_tproxy.site.yaml.problem import Problem
from netplan_tproxy.system.text import shown

if TYPE_CHECKING:
    from netplan_tproxy.site.yaml.nodes import Mapping

SMALLEST_BUDGET, LARGEST_BUDGET = 4 * 1024, 64 * 1024 * 1024
_UNITS = {"KiB": 1024, "MiB": 1024 * 1024}


def parse_budget(text: str) -> int:
    """Return the bytes in ``N``, ``NKiB`` or ``NMiB``.

    Raises ValueError with the end of a message.
    """
    number = int(text.rstrip("KMiB")) * _UNITS.get(text[-3:], 1)
    if not SMALLEST_BUDGET <= number <= LARGEST_BUDGET:
        message = f"{shown(text)} is not a size from 4KiB to 64MiB"
        raise ValueError(message)
    return number


def read_fastpath(section: Mapping) -> tuple[Fastpath, list[Problem]]:
    """Return the fast path with its defaults, and what is wrong with it."""
    default = Fastpath()
    cgroup, budget = default.cgroup, default.budget
    ranges, problems = read_items(section, ("fastpath",), "ports", parse_ports)
    for key in ("cgroup", "budget"):
        entry = section.get(key)
        if entry is None:
            continue
        text = str(section.scalar(key))
        try:
            if key == "cgroup":
                cgroup = parse_cgroup(text)
            else:
                budget = parse_budget(text)
        except ValueError as error:
            problems.append(Problem(entry.at, ("fastpath", key), str(error)))
    ports = merge_ports(ranges) if section.get("ports") else default.ports
    accept = tuple(str(item.value) for _, item in scalars(section, ("fastpath",), "accept"))
    return Fastpath(section.scalar("enabled") is True, cgroup, ports, budget, accept), problems
