"""The commands: one row each."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from netplan_tproxy.commands.options import (
    APPLY,
    CHECK,
    COMMIT,
    COMPLETION,
    DOCTOR,
    DRY_RUN,
    EXPLAIN,
    INSTALL_SERVICE,
    ROLLBACK,
    STATUS,
    Environment,
    Options,
)

CarryOut = Callable[[Options, Environment], int]


@dataclass(frozen=True)
class Command:
    """A command: ``netplan_tproxy.commands.MODULE`` has its ``carry_out``.

    ``needs_file``: it reads the site file, and fails without one. ``reads_only``: it changes
    nothing of this host. ``plans``: its document holds messages, a plan and errors.
    """

    name: str
    module: str
    needs_file: bool
    reads_only: bool
    plans: bool = False

    def carry_out(self, options: Options, environment: Environment) -> int:
        """Run it; return the exit code. Raises TproxyError, Interrupted."""
        module = importlib.import_module(f"netplan_tproxy.commands.{self.module}")
        carry_out: CarryOut = module.carry_out
        return carry_out(options, environment)


COMMANDS = {
    command.name: command
    for command in (
        Command(APPLY, "apply", needs_file=True, reads_only=False, plans=True),
        Command(DRY_RUN, "plan", needs_file=True, reads_only=True, plans=True),
        Command(CHECK, "plan", needs_file=True, reads_only=True, plans=True),
        Command(COMMIT, "commit", needs_file=False, reads_only=False, plans=True),
        Command(ROLLBACK, "rollback", needs_file=False, reads_only=False, plans=True),
        Command(STATUS, "status", needs_file=False, reads_only=True),
        Command(EXPLAIN, "explain", needs_file=False, reads_only=True),
        Command(DOCTOR, "doctor", needs_file=False, reads_only=True),
        Command(INSTALL_SERVICE, "install_service", needs_file=False, reads_only=False),
        Command(COMPLETION, "completion", needs_file=False, reads_only=True),
    )
}
