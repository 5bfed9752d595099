"""What the command line asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netplan_tproxy.output.style import PLAIN, Style
from netplan_tproxy.paths import DEFAULT_SITE, DEFAULT_STATE
from netplan_tproxy.site.model import Check

if TYPE_CHECKING:
    from netplan_tproxy.inspect.flow import Question

APPLY, DRY_RUN, CHECK, COMMIT, ROLLBACK = "apply", "dry-run", "check", "commit", "rollback"
STATUS, EXPLAIN = "status", "explain"
LOOKS = frozenset({STATUS, EXPLAIN})
WITHOUT_FILE = frozenset({COMMIT, ROLLBACK}) | LOOKS
PENDING = 2


@dataclass(frozen=True)
class Options:
    """What the command line asks for. ``lock_timeout`` and ``confirm`` in seconds."""

    site: str = DEFAULT_SITE
    mode: str = APPLY
    destroy: bool = False
    state_dir: str = DEFAULT_STATE
    lock_timeout: float = 10.0
    confirm: float | None = None
    probes: tuple[str, ...] = ()
    adopt: bool = False
    diff: bool = False
    watch: float | None = None
    question: Question | None = None
    verbose: bool = False
    in_place: bool = False
    style: Style = PLAIN
    json: bool = False
    # Where a plan goes as JSON values instead of being said.
    told: dict[str, Any] | None = None

    @property
    def checks(self) -> list[Check]:
        """The probes of the command line as checks."""
        return [Check("command", command) for command in self.probes]
