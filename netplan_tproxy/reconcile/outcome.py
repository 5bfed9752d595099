"""What has become of this host in a run so far: the one thing that its last words go by."""

from __future__ import annotations

BEFORE = "everything is as it was before"
APPLIED = "the change was made before that and stays"
GOING_BACK = "the change is being undone, as asked"
GONE_BACK = "what was not committed was undone, and nothing else was done"
HELD = "the change is made, and goes back unless it is confirmed: tproxy-apply --commit"


class Outcome:
    """``now`` is one of the above; a failed change that was put back is BEFORE."""

    def __init__(self) -> None:
        self.now = BEFORE

    @property
    def stays(self) -> bool:
        """Whether the change is the truth, whatever happens to the process from now on."""
        return self.now == APPLIED
