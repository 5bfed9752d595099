"""The argument parser, and its result as ``Options``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from netplan_tproxy import __version__
from netplan_tproxy.cli import values
from netplan_tproxy.errors import UsageError

if TYPE_CHECKING:
    from netplan_tproxy.commands.options import Options
    from netplan_tproxy.inspect.flow import Question


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        from netplan_tproxy.cli.usage import worded  # noqa: PLC0415 - for what is wrong alone

        raise UsageError(worded(message))


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Read a command line. Raises UsageError; SystemExit for --help and --version."""
    reading = parser()
    args, rest = reading.parse_known_args(arguments)
    from netplan_tproxy.cli.usage import idle_option, superfluous  # noqa: PLC0415 - as above

    if rest:
        known = [name for action in reading._actions for name in action.option_strings]  # noqa: SLF001
        raise UsageError(superfluous(rest, known))
    wrong = idle_option(args, command_of(args))
    if wrong:
        raise UsageError(wrong)
    return args


def parser() -> argparse.ArgumentParser:
    """Return the argument parser."""
    parser = _Parser(
        prog="tproxy-apply",
        description="Make this network namespace a transparent proxy, as a site file says.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "site",
        nargs="?",
        metavar="site.yaml",
        help="the desired state (default: /etc/netplan-tproxy/site.yaml)",
    )
    _add_commands(parser)
    _add_options(parser)
    _add_question(parser)
    parser.add_argument(
        "--root",
        metavar="DIR",
        help="with --install-service: write below DIR (default: /)",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def _add_commands(parser: argparse.ArgumentParser) -> None:
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--dry-run", action="store_true", help="show the plan, change nothing")
    mode.add_argument(
        "--commit", nargs="?", const="", metavar="RUN", help="keep what --confirm is waiting for"
    )
    mode.add_argument("--rollback", nargs="?", const="", metavar="RUN", help="undo it now")
    mode.add_argument(
        "--check", action="store_true", help="exit 2 if the kernel differs, change nothing"
    )
    mode.add_argument(
        "--status", action="store_true", help="show what is set up here, and what it is doing"
    )
    mode.add_argument(
        "--explain",
        metavar="ADDRESS:PORT",
        type=values.target,
        help="say what would happen to a connection to there, and why",
    )
    mode.add_argument(
        "--doctor",
        action="store_true",
        help="find what keeps this host from being a transparent proxy, and say what to do",
    )
    mode.add_argument(
        "--install-service",
        action="store_true",
        help="write a systemd unit that applies the site file at boot, and a drop-in that keeps "
        "systemd-networkd from taking it away",
    )
    mode.add_argument(
        "--completion",
        choices=("bash", "zsh", "fish"),
        metavar="SHELL",
        help="print the completion script for bash, zsh or fish",
    )


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--destroy", action="store_true", help="remove exactly what was put there")
    parser.add_argument(
        "--confirm",
        metavar="SECONDS",
        type=values.wait,
        help="undo the change unless it is confirmed in time (Enter, or --commit elsewhere)",
    )
    parser.add_argument(
        "--detach",
        action="store_true",
        help="with --confirm: do not wait; print the run to confirm, and its deadline",
    )
    parser.add_argument(
        "--probe",
        metavar="CMD",
        action="append",
        default=[],
        help="a command that, if it succeeds before the change, must succeed after it",
    )
    parser.add_argument(
        "--adopt",
        action="store_true",
        help="take over what others put in the way; --destroy puts it back",
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="take the place of another site that is set up here",
    )
    parser.add_argument(
        "--state-dir", metavar="DIR", help="journal and ledger (default: /run/netplan-tproxy)"
    )
    parser.add_argument(
        "--no-cache",
        action="store_true",
        help="compile the programs anew, without /var/cache/netplan-tproxy",
    )
    parser.add_argument(
        "--lock-timeout",
        metavar="SECONDS",
        type=values.seconds,
        help="how long to wait for another run (default: 10)",
    )
    parser.add_argument(
        "--diff",
        action="store_true",
        help="with --dry-run or --check: also what differs from the file applied last",
    )
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colours: auto (default) on a terminal, unless NO_COLOR is set",
    )
    parser.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="log every change with the kernel's answer; with --status: show more",
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON document instead of lines, in every mode"
    )
    parser.add_argument(
        "--watch",
        metavar="SECONDS",
        nargs="?",
        type=values.interval,
        const=2.0,
        help="with --status: again every so often (default: 2), until q or Ctrl-C; with --json "
        "one document a line (JSON Lines)",
    )


def _add_question(parser: argparse.ArgumentParser) -> None:
    asked = parser.add_argument_group("the connection of --explain")
    asked.add_argument("--from", metavar="INTERFACE", dest="device", help="leaves or comes in by")
    asked.add_argument("--source", metavar="ADDRESS", type=values.address, help="comes from there")
    asked.add_argument("--user", metavar="NAME", help="whose socket it is (default: root)")
    asked.add_argument("--cgroup", metavar="PATH", help="the cgroup of its socket")
    asked.add_argument("--mark", metavar="NUMBER", type=values.mark, help="its mark")
    asked.add_argument("--udp", action="store_true", help="it is UDP, not TCP")


def command_of(args: argparse.Namespace) -> str:
    """Return the name of the command (``commands.table``)."""
    flags = ("dry_run", "check", "commit", "rollback", "status", "doctor", "install_service")
    for flag in flags:
        if getattr(args, flag) not in {None, False}:
            return flag.replace("_", "-")
    if args.completion:
        return "completion"
    return "apply" if args.explain is None else "explain"


def options_of(args: argparse.Namespace) -> Options:
    """Return the options of the command line."""
    from netplan_tproxy.commands.options import Options  # noqa: PLC0415 - --version does without

    defaults = Options()
    return Options(
        command=command_of(args),
        site=args.site or defaults.site,
        site_named=bool(args.site),
        destroy=args.destroy,
        state_dir=args.state_dir or defaults.state_dir,
        cache="" if args.no_cache else defaults.cache,
        lock_timeout=defaults.lock_timeout if args.lock_timeout is None else args.lock_timeout,
        confirm=args.confirm,
        detach=args.detach,
        run=args.commit or args.rollback or "",
        probes=tuple(args.probe),
        adopt=args.adopt,
        replace=args.replace,
        diff=args.diff,
        watch=args.watch,
        question=_question(args),
        verbose=args.verbose,
        root=args.root or defaults.root,
        shell=args.completion or "",
    )


def _question(args: argparse.Namespace) -> Question | None:
    if args.explain is None:
        return None
    from netplan_tproxy.inspect.flow import Question  # noqa: PLC0415 - for this command alone

    to, port = args.explain
    return Question(
        target=to,
        port=port,
        protocol="udp" if args.udp else "tcp",
        device=args.device or "",
        source=args.source or "",
        user=args.user or "",
        cgroup=args.cgroup or "",
        mark=args.mark or 0,
    )
