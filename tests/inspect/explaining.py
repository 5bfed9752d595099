"""Questions to ``--explain``, and whether its answers are what happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.inspect import explain
from netplan_tproxy.inspect.flow import Question
from netplan_tproxy.kernel.host.netns import netns_cookie
from netplan_tproxy.kinds import all_kinds
from netplan_tproxy.output import explain as explain_text
from netplan_tproxy.paths import DEFAULT_STATE
from netplan_tproxy.state.state import State
from tests.policy.probes import DEVICES, Probe

if TYPE_CHECKING:
    from typing import Any

    from netplan_tproxy.site.model import Policy
    from tests.policy.support import PolicyHost


def ask(host: PolicyHost, question: Question) -> dict[str, Any]:
    """The report; its text must fit a terminal."""
    kinds = all_kinds()
    with host.lab.host.entered(), Kernel() as kernel:
        state = State(DEFAULT_STATE, netns_cookie(), kinds)
        found = explain.report(kernel, kinds, state, question)
    for line in explain_text.lines(found):
        assert len(line) <= 80 or " " not in line.strip()
    return found


def about(probe: Probe) -> Question:
    return Question(
        probe.to,
        probe.port,
        probe.kind,
        DEVICES[probe.way],
        probe.source_address,
        str(probe.user),
        probe.cgroup,
        probe.mark if probe.way == "output" else 0,
    )


def decided(host: PolicyHost, question: Question) -> list[str]:
    """What of the file decides, as the file has it at that very place."""
    found = []
    lines = host.site.read_text().splitlines()
    for place in ask(host, question)["decided_by"]:
        if place["line"] is None:
            found.append(f"default {place['key']}: {place['text']}")
            continue
        assert place["current"]
        assert place["file"] == str(host.site)
        at = lines[place["line"] - 1][place["column"] - 1 :]
        assert place["text"].partition(", ")[0] in at
        found.append(f"{place['key']}: {place['text']}")
    return found


def compare(host: PolicyHost, policy: Policy, probes: list[Probe]) -> None:
    host.applied(policy)
    for probe in probes:
        explained = ask(host, about(probe))["outcome"]
        assert host.outcome(probe) == explained, probe


# Shrinking would go on for minutes; a packet and a policy say enough.
