"""The options of ``--status`` and ``--explain``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netplan_tproxy.inspect.flow import Question

_LEAST, _MOST = 0.1, 3600.0
_MOST_MARK = 0xFFFFFFFF


def add(made: argparse.ArgumentParser) -> None:
    """Add them to the one parser."""
    made.add_argument(
        "--watch",
        metavar="SECONDS",
        nargs="?",
        type=interval,
        const=2.0,
        help="with --status: again every so often (default: 2), until Ctrl-C",
    )
    asked = made.add_argument_group("the connection of --explain")
    asked.add_argument("--from", metavar="INTERFACE", dest="device", help="leaves or comes in by")
    asked.add_argument("--source", metavar="ADDRESS", type=address, help="comes from there")
    asked.add_argument("--user", metavar="NAME", help="whose socket it is (default: root)")
    asked.add_argument("--cgroup", metavar="PATH", help="the cgroup of its socket")
    asked.add_argument("--mark", metavar="NUMBER", type=mark, default=0, help="its mark")
    asked.add_argument("--udp", action="store_true", help="it is UDP, not TCP")


def question(args: argparse.Namespace) -> Question | None:
    """Give what ``--explain`` asks; None without it."""
    if args.explain is None:
        return None
    from netplan_tproxy.inspect.flow import Question  # noqa: PLC0415 - for this mode alone

    to, port = args.explain
    return Question(
        target=to,
        port=port,
        protocol="udp" if args.udp else "tcp",
        device=args.device or "",
        source=args.source or "",
        user=args.user or "",
        cgroup=args.cgroup or "",
        mark=args.mark,
    )


def target(text: str) -> tuple[str, int]:
    """Read ADDRESS:PORT. Raises ArgumentTypeError."""
    from netplan_tproxy.inspect.flow import parse_target  # noqa: PLC0415 - for this mode alone

    try:
        return parse_target(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from wrong


def address(text: str) -> str:
    """Read an address. Raises ValueError."""
    import ipaddress  # noqa: PLC0415 - for this mode alone

    return str(ipaddress.ip_address(text))


def mark(text: str) -> int:
    """Read 32 bits. Raises ValueError."""
    value = int(text, 0)
    if not 0 <= value <= _MOST_MARK:
        raise ValueError(text)
    return value


def interval(text: str) -> float:
    """Read a number of seconds, from a tenth to an hour. Raises ValueError."""
    value = float(text)
    if not _LEAST <= value <= _MOST:
        raise ValueError(text)
    return value
