"""Whether what a run said is what the kernel says. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from tests.faults.world import differing

if TYPE_CHECKING:
    from tests.faults.scenarios import Scenario
    from tests.faults.strace import Fault
    from tests.faults.world import Ran
    from tests.lab import Snapshot

# While the interpreter begins, and imports the one module that could tell, it tells by itself.
_OURS = re.compile(r'File "[^"]*netplan_tproxy/[^"]*", line \d+, in (?!<module>)')
_REMOVALS = ("unlink", "unlinkat", "rmdir")
KILLED = (-9, 137)
ENDED = (-15, 143)
DONE, NOT_PUT_BACK, PUT_BACK = 0, 4, 3


class Ends(NamedTuple):
    """The world before the run, and after one that succeeds."""

    before: Snapshot
    after: Snapshot


def problems(scenario: Scenario, fault: Fault, ran: Ran, ends: Ends, now: Snapshot) -> list[str]:
    """Name what is not as promised; nothing when all is."""
    if ran.code in KILLED:
        return []
    named = []
    if _OURS.search(ran.err):
        named.append(f"traceback: {ran.err.strip().splitlines()[-1][:160]}")
    # What a run has to say may be just what is disturbed.
    text_is_whole = fault.call != "write"
    if ran.code == NOT_PUT_BACK:
        if text_is_whole and "could not put back" not in ran.err:
            named.append("exit 4 names nothing")
        return named
    if scenario.code == PUT_BACK and ran.code == DONE:
        return [*named, "exit 0, and nobody confirmed it"]
    if fault.call in _REMOVALS:
        # A file that could not be removed says nothing, and goes with the next run.
        now = {**now, "state": []}
        ends = Ends(*({**end, "state": []} for end in ends))
    wanted = ends.after if ran.code == DONE else ends.before
    said = {DONE: "done", PUT_BACK: "all put back"}.get(ran.code, "nothing touched")
    if ran.code in ENDED:
        said = "as before"
    named += [f"exit {ran.code} ({said}), yet: {line}" for line in differing(wanted, now)]
    if ran.code and text_is_whole and not ran.err.strip() and ran.code not in ENDED:
        named.append(f"exit {ran.code} without a word")
    return named
