"""``--completion``: the completion script for a shell."""

from __future__ import annotations

from netplan_tproxy.commands.options import Environment, Options
from netplan_tproxy.output.completion import script


def carry_out(options: Options, environment: Environment) -> int:
    """Print it; there is no JSON of it."""
    environment.reporter.show([script(environment.parser(), options.shell).rstrip("\n")])
    return 0
