"""What is intercepted and what is left alone: the sections ``intercept`` and ``bypass``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netplan_tproxy.site.model import PROTOCOLS, Policy
from netplan_tproxy.site.sections.items import read_distinct, read_items, scalars
from netplan_tproxy.site.sections.marks import apart_from, overlap, parse_mark
from netplan_tproxy.site.sections.network_files import network_files
from netplan_tproxy.site.sections.networks import parse_network, prefixes
from netplan_tproxy.site.sections.ports import merge_ports, parse_ports
from netplan_tproxy.site.sections.users_cgroups import parse_bypass_cgroup, parse_user
from netplan_tproxy.site.yaml.problem import Problem

if TYPE_CHECKING:
    from netplan_tproxy.site.model import Mark, Ports, Prefix
    from netplan_tproxy.site.sections.networks import Network
    from netplan_tproxy.site.yaml.nodes import Mapping, Scalar


class SelectionReader:
    """Reads both sections; ``problems`` are what is wrong with them."""

    def __init__(self, intercept_mark: Mark, source: str) -> None:
        """Take what the sections depend on; ``source`` is the path of the site file."""
        self.problems: list[Problem] = []
        self._intercept_mark = intercept_mark
        self._files = network_files(source)

    def read(self, intercept: Mapping, bypass: Mapping) -> Policy:
        """Return the policy of both sections."""
        users, wrong_users = read_distinct(bypass, ("bypass",), "users", parse_user)
        cgroups, wrong_cgroups = read_distinct(bypass, ("bypass",), "cgroups", parse_bypass_cgroup)
        marks, wrong_marks = read_distinct(bypass, ("bypass",), "marks", self._mark)
        self.problems += [*wrong_users, *wrong_cgroups, *wrong_marks]
        return Policy(
            intercept_from=self._networks(intercept, "intercept", "from"),
            intercept_to=self._networks(intercept, "intercept", "to", "to_files"),
            intercept_ports=self._ports(intercept, "intercept"),
            protocols=_protocols(intercept),
            bypass_from=self._networks(bypass, "bypass", "from") or (),
            bypass_to=self._networks(bypass, "bypass", "to", "to_files") or (),
            bypass_ports=self._ports(bypass, "bypass") or (),
            bypass_users=tuple(users),
            bypass_cgroups=tuple(cgroups),
            bypass_marks=tuple(marks),
        )

    def _networks(
        self, section: Mapping, name: str, key: str, files_key: str = ""
    ) -> tuple[Prefix, ...] | None:
        entry, files = section.get(key), section.get(files_key)
        if entry is None and files is None:
            return None
        networks, problems = read_items(section, (name,), key, _network)
        for here, item in scalars(section, (name,), files_key):
            listed, wrong = self._files.read(str(item.value), item.at, here)
            networks += listed
            problems += wrong
        if name == "intercept" and files and not networks and not problems:
            text = "name no network, so nothing would be intercepted, expected at least one"
            problems.append(Problem(files.at, (name, files_key), text))
        self.problems += problems
        return prefixes(networks)

    def _ports(self, section: Mapping, name: str) -> Ports | None:
        if section.get("ports") is None:
            return None
        ranges, problems = read_items(section, (name,), "ports", parse_ports)
        self.problems += problems
        return merge_ports(ranges)

    def _mark(self, item: Scalar) -> Mark:
        mark = parse_mark(str(item.value))
        if overlap(mark, self._intercept_mark):
            message = (
                f"{mark} overlaps marks.intercept {self._intercept_mark}, expected "
                f"{apart_from(self._intercept_mark)}"
            )
            raise ValueError(message)
        return mark


def _network(item: Scalar) -> Network:
    return parse_network(str(item.value))


def _protocols(section: Mapping) -> tuple[str, ...] | None:
    if section.get("protocols") is None:
        return None
    named = {item.value for _, item in scalars(section, ("intercept",), "protocols")}
    return tuple(protocol for protocol in PROTOCOLS if protocol in named)
