"""Whether what a run said is what the kernel says. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from netplan_tproxy.reconcile.outcome import APPLIED, GOING_BACK, GONE_BACK
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
CRASHED = (-11, 139)  # The loader and the interpreter do so, where they get no memory.
ENDED = (-15, 143)
_HAPPENED = (APPLIED, GOING_BACK, GONE_BACK)
_NAMED = (
    "could not put back: ",
    "everything else was done: ",
    "the change has not gone back as it should",
    "does not say what has become of the change",
)
DONE, NOT_PUT_BACK, PUT_BACK = 0, 4, 3


class Ends(NamedTuple):
    """The world before the run, and after one that succeeds."""

    before: Snapshot
    after: Snapshot


def problems(scenario: Scenario, fault: Fault, ran: Ran, ends: Ends, now: Snapshot) -> list[str]:
    """Name what is not as promised; nothing when all is."""
    if ran.code in KILLED or (ran.code in CRASHED and fault.call == "mmap"):
        return []
    named = []
    if _OURS.search(ran.err):
        named.append(f"traceback: {ran.err.strip().splitlines()[-1][:160]}")
    if scenario.code == PUT_BACK and ran.code == DONE:
        return [*named, "exit 0, and nobody confirmed it"]
    # What a run has to say may be just what is disturbed.
    text_is_whole = fault.call != "write"
    if ran.code and text_is_whole and not ran.err.strip() and ran.code not in ENDED:
        named.append(f"exit {ran.code} without a word")
    if fault.call in _REMOVALS:
        # A file that could not be removed says nothing, and goes with the next run.
        now = {**now, "state": []}
        ends = Ends(*({**end, "state": []} for end in ends))
    wanted, said = _claim(ran, ends)
    if wanted is not None:
        named += [f"exit {ran.code} ({said}), yet: {line}" for line in differing(wanted, now)]
    elif text_is_whole and not any(words in ran.err for words in _NAMED):
        named.append(f"exit {ran.code} names nothing")
    return named


def _claim(ran: Ran, ends: Ends) -> tuple[Snapshot | None, str]:
    """What a run says that the kernel shows now; None where it must name what is not so."""
    happened = [words for words in _HAPPENED if words in ran.err]
    if ran.code == DONE or happened:
        return ends.after, "".join(happened) or "done"
    if ran.code == NOT_PUT_BACK:
        return None, ""
    if ran.code in ENDED:
        return ends.before, "as before"
    return ends.before, "all put back" if ran.code == PUT_BACK else "nothing touched"
