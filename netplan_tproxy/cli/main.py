"""``tproxy-apply``: arguments in, lines and an exit code out. Nothing else prints."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from netplan_tproxy.cli.arguments import command_of, options_of, parser
from netplan_tproxy.errors import TproxyError
from netplan_tproxy.system.signals import Interrupts

if TYPE_CHECKING:
    from netplan_tproxy.commands.table import Command
    from netplan_tproxy.output.reporter import Reporter

EX_SIGNAL = 128  # and the number of the signal, as the shell has it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``tproxy-apply``; give its exit code."""
    args = parser().parse_args(arguments)
    from netplan_tproxy.commands.options import Environment  # noqa: PLC0415 - --version needs none
    from netplan_tproxy.commands.table import COMMANDS  # noqa: PLC0415

    command = COMMANDS[command_of(args)]
    if not command.plans and (args.destroy or args.confirm is not None) and not _looks(command):
        parser().error("--destroy and --confirm go with an apply alone")
    if args.verbose:
        from netplan_tproxy.output.log import to_stderr  # noqa: PLC0415

        to_stderr()
    interrupts = Interrupts()
    reporter = _reporter(args, command)
    try:
        with interrupts.handled():
            environment = Environment(reporter, interrupts, parser)
            code = command.carry_out(options_of(args), environment)
            reporter.finish(code)
            return code
    except TproxyError as error:
        reporter.fail(error)
        return error.exit_code
    except KeyboardInterrupt as interrupt:
        number = getattr(interrupt, "number", signal.SIGINT)
        _complain("tproxy-apply: interrupted; everything is as it was before")
        return EX_SIGNAL + int(number)


def _looks(command: Command) -> bool:
    return command.name in {"status", "explain"}


def _reporter(args: argparse.Namespace, command: Command) -> Reporter:
    if args.json and command.name != "completion":
        from netplan_tproxy.output.json_reporter import JsonReporter  # noqa: PLC0415

        destroys = args.destroy and command.name == "apply"
        mode = "destroy" if destroys else command.name
        return JsonReporter(_say, mode, plans=command.plans)
    from netplan_tproxy.output.reporter import LineReporter  # noqa: PLC0415
    from netplan_tproxy.output.style import wanted  # noqa: PLC0415

    in_place = sys.stdout is not None and sys.stdout.isatty()
    return LineReporter(_say, _complain, wanted(args.color, sys.stdout), in_place=in_place)


def _say(line: str) -> None:
    """Print a line at once: who reads the plan should have it before it is carried out."""
    _print(line, sys.stdout)


def _complain(line: str) -> None:
    _print(line, sys.stderr)


def _print(line: str, stream: TextIO | None) -> None:
    if stream is None:  # it was closed by whoever started us
        return
    try:
        print(line, file=stream, flush=True)
    except BrokenPipeError:
        # Nobody reads any more; the work goes on. What is left in the buffer must not fail
        # again when the interpreter ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
