"""What the command line asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netplan_tproxy.output.reporter import Reporter
from netplan_tproxy.paths import DEFAULT_CACHE, DEFAULT_SITE, DEFAULT_STATE
from netplan_tproxy.reconcile.outcome import Outcome
from netplan_tproxy.site.model import Check
from netplan_tproxy.system.signals import Interrupts

if TYPE_CHECKING:
    import argparse

    from netplan_tproxy.inspect.flow import Question

APPLY, DRY_RUN, CHECK, COMMIT, ROLLBACK = "apply", "dry-run", "check", "commit", "rollback"
STATUS, EXPLAIN = "status", "explain"
DOCTOR, INSTALL_SERVICE, COMPLETION = "doctor", "install-service", "completion"

# What --check and --status exit with: the kernel differs; a listener is missing.
DIFFERS, UNHEARD = 2, 10


@dataclass(frozen=True)
class Options:
    """What the command line asks for.

    ``lock_timeout``, ``confirm`` and ``watch`` in seconds; ``site_named``: the user named it;
    ``cache``: the folder of what was compiled before, "" for none;
    ``detach``: do not wait for the confirmation; ``run``: the one to commit or roll back.
    """

    command: str = APPLY
    site: str = DEFAULT_SITE
    site_named: bool = False
    destroy: bool = False
    state_dir: str = DEFAULT_STATE
    cache: str = DEFAULT_CACHE
    lock_timeout: float = 10.0
    confirm: float | None = None
    detach: bool = False
    run: str = ""
    probes: tuple[str, ...] = ()
    adopt: bool = False
    replace: bool = False
    diff: bool = False
    watch: float | None = None
    question: Question | None = None
    verbose: bool = False
    root: str = "/"
    shell: str = ""

    @property
    def checks(self) -> list[Check]:
        """The probes of the command line as checks."""
        return [Check("command", command) for command in self.probes]


@dataclass(frozen=True)
class Environment:
    """What a command gets besides its options; it prints through ``reporter`` alone.

    Whoever changes this host updates ``outcome``. ``parser`` returns the argument parser,
    for commands that describe it.
    """

    reporter: Reporter
    interrupts: Interrupts
    outcome: Outcome
    parser: Callable[[], argparse.ArgumentParser]
