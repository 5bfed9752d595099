"""The modes that plan nothing: examine the host, install the unit, complete command lines."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from netplan_tproxy.output.style import Style

_SHELLS = ("bash", "zsh", "fish")


def add(mode: argparse._MutuallyExclusiveGroup) -> None:
    """Add their options."""
    mode.add_argument(
        "--doctor",
        action="store_true",
        help="look for what keeps this host from being a transparent proxy, and say what to do",
    )
    mode.add_argument(
        "--install-service",
        action="store_true",
        help="write a systemd unit that applies the site file at boot, and a drop-in that keeps "
        "systemd-networkd from taking it away",
    )
    mode.add_argument(
        "--completion",
        choices=_SHELLS,
        metavar="SHELL",
        help="print the completion script for bash, zsh or fish",
    )


def add_root(made: argparse.ArgumentParser) -> None:
    """Add what goes with them."""
    made.add_argument(
        "--root",
        metavar="DIR",
        default="/",
        help="with --install-service: write below DIR (default: /)",
    )


def is_wanted(args: argparse.Namespace) -> bool:
    """Whether one of these modes is asked for."""
    return bool(args.doctor or args.install_service or args.completion)


def carry_out(
    args: argparse.Namespace,
    parser: Callable[[], argparse.ArgumentParser],
    say: Callable[[str], None],
    style: Style,
) -> int:
    """Do it and give the exit code. Raises TproxyError."""
    if args.destroy or args.confirm is not None:
        parser().error("--destroy and --confirm go with an apply alone")
    if args.completion:
        from netplan_tproxy.commands.completion import script  # noqa: PLC0415

        say(script(parser(), args.completion).rstrip("\n"))
        return 0
    as_json = bool(getattr(args, "json", False))
    if args.doctor:
        from netplan_tproxy.inspect import doctor  # noqa: PLC0415
        from netplan_tproxy.output.doctor import lines as doctor_lines  # noqa: PLC0415
        from netplan_tproxy.paths import DEFAULT_SITE  # noqa: PLC0415

        report = doctor.examine(args.site or DEFAULT_SITE, named=bool(args.site))
        lines = None if as_json else doctor_lines(report, style)
        for line in _shown("doctor", report.code, report.as_json(), lines):
            say(line)
        return report.code
    from netplan_tproxy.systemd import service  # noqa: PLC0415

    done = service.install(args.root, args.site or "", adopt=args.adopt)
    lines = None if as_json else service.lines(done)
    for line in _shown("install-service", 0, done.as_json(), lines):
        say(line)
    return 0


def _shown(mode: str, code: int, body: dict[str, Any], lines: list[str] | None) -> list[str]:
    """Give what is printed; without ``lines`` the JSON document."""
    if lines is not None:
        return lines
    from netplan_tproxy.output.document import envelope  # noqa: PLC0415

    return [envelope(mode, code, body).rstrip("\n")]
