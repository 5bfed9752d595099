"""``tproxy-apply``: arguments in, lines and an exit code out. Nothing else prints."""

from __future__ import annotations

import argparse
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

from netplan_tproxy.cli.arguments import command_of, options_of, parsed, parser
from netplan_tproxy.errors import SignalledError, TproxyError, UnexpectedError, UsageError
from netplan_tproxy.output.console import Console
from netplan_tproxy.reconcile.outcome import BEFORE, Outcome
from netplan_tproxy.system.signals import Interrupts

if TYPE_CHECKING:
    from netplan_tproxy.commands.table import Command
    from netplan_tproxy.output.reporter import Reporter

LOST = 1


def main(arguments: Sequence[str] | None = None, interrupts: Interrupts | None = None) -> int:
    """Run ``tproxy-apply`` and return its exit code; ``arguments`` None: those of this process."""
    console, outcome = Console(), Outcome()
    words = sys.argv[1:] if arguments is None else arguments
    interrupts, verbose = interrupts or Interrupts(), False
    try:
        args = parsed(words)
        verbose = args.verbose
        with interrupts.handled():
            code = _run(args, console, interrupts, outcome)
    except UsageError as wrong:
        return _refused(wrong, words, console)
    except (Exception, KeyboardInterrupt) as failure:  # noqa: BLE001 - before there is a reporter
        error = _told(failure, outcome, verbose=verbose)
        console.complain(f"tproxy-apply: {error}")
        return error.exit_code
    if console.lost:
        console.complain(f"tproxy-apply: standard output: {console.lost}")
    return code


def _refused(wrong: UsageError, words: Sequence[str], console: Console) -> int:
    """Say what is wrong with the command line; as JSON where that is asked for in it."""
    if "--json" in words:
        from netplan_tproxy.output.document import envelope, errors_of  # noqa: PLC0415

        console.say(envelope("usage", wrong.exit_code, {"errors": errors_of(wrong)}))
    else:
        from netplan_tproxy.output.reporter import LineReporter  # noqa: PLC0415
        from netplan_tproxy.output.style import PLAIN, wanted  # noqa: PLC0415

        LineReporter(console.say, console.complain, PLAIN, wanted("never", sys.stderr)).fail(wrong)
    return wrong.exit_code


def _told(failure: BaseException, outcome: Outcome, *, verbose: bool) -> TproxyError:
    """Give the error for whatever ended a run: with it goes what has become of the host."""
    if isinstance(failure, TproxyError):
        return failure
    if isinstance(failure, KeyboardInterrupt):
        number = int(getattr(failure, "number", signal.SIGINT))
        return SignalledError(number, outcome.now)
    assert isinstance(failure, Exception)  # noqa: S101 - no other is caught
    if verbose:
        traceback.print_exception(failure)
    return UnexpectedError(failure, outcome.now, before=outcome.now == BEFORE)


def _run(
    args: argparse.Namespace, console: Console, interrupts: Interrupts, outcome: Outcome
) -> int:
    from netplan_tproxy.commands.options import Environment  # noqa: PLC0415 - --version needs none
    from netplan_tproxy.commands.table import COMMANDS  # noqa: PLC0415

    command = COMMANDS[command_of(args)]
    if args.verbose:
        from netplan_tproxy.output.log import to_stderr  # noqa: PLC0415

        to_stderr()
    reporter = _reporter(args, command, console)
    environment = Environment(reporter, interrupts, outcome, parser)
    try:
        code = command.carry_out(options_of(args), environment)
        reporter.finish(code)
    except (Exception, KeyboardInterrupt) as failure:  # noqa: BLE001 - it tells what was done
        error = _told(failure, outcome, verbose=args.verbose)
        reporter.fail(error)
        return error.exit_code
    return LOST if console.lost and command.reads_only and code == 0 else code


def _reporter(args: argparse.Namespace, command: Command, console: Console) -> Reporter:
    if args.json:
        from netplan_tproxy.output.json_reporter import JsonReporter  # noqa: PLC0415

        destroys = args.destroy and command.name == "apply"
        mode = "destroy" if destroys else command.name
        return JsonReporter(console.say, mode, plans=command.plans, in_lines=args.watch is not None)
    from netplan_tproxy.output.reporter import LineReporter  # noqa: PLC0415
    from netplan_tproxy.output.style import wanted  # noqa: PLC0415

    in_place = sys.stdout is not None and sys.stdout.isatty()
    styles = wanted(args.color, sys.stdout), wanted("never", sys.stderr)
    return LineReporter(
        console.say, console.complain, *styles, in_place=in_place, verbose=args.verbose
    )
