"""The command line: arguments in, lines and an exit code out. Nothing else prints."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn, TextIO

from netplan_tproxy import __version__
from netplan_tproxy.cli import look_arguments
from netplan_tproxy.commands import aside
from netplan_tproxy.errors import SiteError, TproxyError
from netplan_tproxy.system.signals import Interrupts

if TYPE_CHECKING:
    from netplan_tproxy.commands.options import Options

EX_USAGE = 64
EX_SIGNAL = 128  # and the number of the signal, as the shell has it


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: {message}\n")


def parser() -> argparse.ArgumentParser:
    """Build the one argument parser."""
    made = _Parser(
        prog="tproxy-apply",
        description="Make this network namespace a transparent proxy, as a site file says.",
        allow_abbrev=False,
    )
    made.add_argument(
        "site",
        nargs="?",
        metavar="site.yaml",
        help="the desired state (default: /etc/netplan-tproxy/site.yaml)",
    )
    mode = made.add_mutually_exclusive_group()
    mode.add_argument("--dry-run", action="store_true", help="show the plan, touch nothing")
    mode.add_argument("--commit", action="store_true", help="keep what --confirm is waiting for")
    mode.add_argument("--rollback", action="store_true", help="take it back at once")
    mode.add_argument(
        "--check", action="store_true", help="exit 2 if the kernel differs, touch nothing"
    )
    mode.add_argument(
        "--status", action="store_true", help="what is set up here, and what it does at the moment"
    )
    mode.add_argument(
        "--explain",
        metavar="ADDRESS:PORT",
        type=look_arguments.target,
        help="what would become of a connection there, and what decides",
    )
    aside.add(mode)
    made.add_argument("--destroy", action="store_true", help="take away exactly what was put there")
    made.add_argument(
        "--confirm",
        metavar="SECONDS",
        type=_wait,
        help="go back unless confirmed (Enter, or --commit elsewhere) in time",
    )
    made.add_argument(
        "--probe",
        metavar="CMD",
        action="append",
        default=[],
        help="a command that, if it succeeds before the change, must succeed after it",
    )
    made.add_argument(
        "--adopt",
        action="store_true",
        help="take over what others put in the way; --destroy puts it back",
    )
    made.add_argument(
        "--state-dir", metavar="DIR", help="journal and ledger (default: /run/netplan-tproxy)"
    )
    made.add_argument(
        "--lock-timeout",
        metavar="SECONDS",
        type=_seconds,
        default=10.0,
        help="how long to wait for another run (default: 10)",
    )
    made.add_argument(
        "--diff",
        action="store_true",
        help="with --dry-run or --check: also what differs from the file applied last",
    )
    made.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colours: auto (default) on a terminal, unless NO_COLOR is set",
    )
    made.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="log every change with the kernel's answer; with --status: show more",
    )
    made.add_argument(
        "--json", action="store_true", help="one JSON document instead of lines, in every mode"
    )
    look_arguments.add(made)
    aside.add_root(made)
    made.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return made


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 86400:  # noqa: PLR2004 - a day; also refuses nan
        raise ValueError(text)
    return value


def _wait(text: str) -> float:
    value = _seconds(text)
    if value < 1:
        raise ValueError(text)
    return value


def _mode(args: argparse.Namespace) -> str:
    for name in ("dry_run", "check", "commit", "rollback"):
        if getattr(args, name):
            return name.replace("_", "-")
    if args.status:
        return "status"
    return "apply" if args.explain is None else "explain"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``tproxy-apply``; give its exit code."""
    args = parser().parse_args(arguments)
    from netplan_tproxy.commands.options import LOOKS, Options  # noqa: PLC0415
    from netplan_tproxy.commands.run import run  # noqa: PLC0415
    from netplan_tproxy.output.style import wanted  # noqa: PLC0415

    defaults = Options()
    options = Options(
        site=args.site or defaults.site,
        mode=_mode(args),
        destroy=args.destroy,
        state_dir=args.state_dir or defaults.state_dir,
        lock_timeout=args.lock_timeout,
        confirm=args.confirm,
        probes=tuple(args.probe),
        adopt=args.adopt,
        diff=args.diff,
        watch=args.watch,
        question=look_arguments.question(args),
        verbose=args.verbose,
        in_place=sys.stdout is not None and sys.stdout.isatty(),
        style=wanted(args.color, sys.stdout),
        json=args.json,
    )
    if args.verbose:
        from netplan_tproxy.output.log import to_stderr  # noqa: PLC0415

        to_stderr()
    interrupts = Interrupts()
    try:
        with interrupts.handled():
            if aside.is_wanted(args):
                return aside.carry_out(args, parser, _say, options.style)
            if args.json and options.mode not in LOOKS:
                return _as_json(options, interrupts)
            return run(options, _say, interrupts)
    except TproxyError as error:
        if args.json:
            _fail_as_json(_name_of(args), error)
            return error.exit_code
        for line in str(error).splitlines():
            _complain(line if isinstance(error, SiteError) else f"tproxy-apply: {line}")
        return error.exit_code
    except KeyboardInterrupt as interrupt:
        number = getattr(interrupt, "number", signal.SIGINT)
        _complain("tproxy-apply: interrupted; everything is as it was before")
        return EX_SIGNAL + int(number)


def _name_of(args: argparse.Namespace) -> str:
    if args.doctor:
        return "doctor"
    return "install-service" if args.install_service else _mode(args)


def _as_json(options: Options, interrupts: Interrupts) -> int:
    """Run, and print one document whatever comes of it."""
    from netplan_tproxy.commands.run import run  # noqa: PLC0415
    from netplan_tproxy.output.document import Collected, errors_of  # noqa: PLC0415

    collected = Collected(
        "destroy" if options.destroy and options.mode == "apply" else options.mode
    )
    errors = []
    try:
        code = run(replace(options, told=collected.body), collected.say, interrupts)
    except TproxyError as error:
        code, errors = error.exit_code, errors_of(error)
    _say(collected.document(code, errors).rstrip("\n"))
    return code


def _fail_as_json(mode: str, error: TproxyError) -> None:
    from netplan_tproxy.output.document import envelope, errors_of  # noqa: PLC0415

    _say(envelope(mode, error.exit_code, {"errors": errors_of(error)}).rstrip("\n"))


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
