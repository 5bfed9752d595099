"""Whether what a run said is what the kernel says. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.faults.world import differing

if TYPE_CHECKING:
    from tests.faults.scenarios import Ends, Scenario
    from tests.faults.strace import Fault
    from tests.faults.world import Ran
    from tests.lab import Snapshot

_OURS = re.compile(r'File "[^"]*netplan_tproxy/[^"]*", line \d+, in (?!<module>)')
KILLED = (-9, 137)
ENDED = (-15, 143)


def problems(scenario: Scenario, fault: Fault, ran: Ran, ends: Ends, now: Snapshot) -> list[str]:
    """Name what is not as promised; nothing when all is."""
    found = []
    if "Traceback" in ran.err:
        where = "traceback" if _OURS.search(ran.err) else "traceback before it begins"
        found.append(f"{where}: {ran.err.strip().splitlines()[-1][:160]}")
    if ran.code in KILLED:
        return found
    text_is_whole = fault.name != "write"
    if ran.code == 4:
        if text_is_whole and "could not put back" not in ran.err:
            found.append("exit 4 names nothing")
        return found
    wanted = {0: ends.after, 3: ends.before}.get(ran.code, ends.before)
    if scenario.code == 3 and ran.code == 0:
        return [*found, "exit 0, and nobody confirmed it"]
    said = {0: "done", 3: "all put back"}.get(ran.code, "nothing touched")
    if ran.code in ENDED:
        said = "as before"
    found += [f"exit {ran.code} ({said}), yet: {line}" for line in differing(wanted, now)]
    if ran.code and text_is_whole and not ran.err.strip() and ran.code not in ENDED:
        found.append(f"exit {ran.code} without a word")
    return found
