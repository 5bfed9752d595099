"""``tproxy-relay``: the command line."""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
from typing import TYPE_CHECKING, NoReturn, TypeVar

from netplan_tproxy import __version__
from netplan_tproxy.relay.options import Options, RelayError, parse_endpoint, parse_mark
from netplan_tproxy.relay.server import Relay

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_T = TypeVar("_T")
_USAGE = 64
_FILES_PER_FLOW = 2  # a connection's two sides; a pair's upstream socket and its answering one
_FILES_BESIDES = 64


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(_USAGE, f"{self.prog}: {message}\n")


def _say(line: str) -> None:
    print(f"tproxy-relay: {line}", file=sys.stderr, flush=True)


def _reading(read: Callable[[str], _T]) -> Callable[[str], _T]:
    def convert(text: str) -> _T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ValueError(f"{text}: expected a whole number from 1")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ValueError(f"{text}: expected seconds, such as 10 or 0.5")
    return value


def _some_seconds(text: str) -> float:
    value = _seconds(text)
    if not value:
        raise ValueError(f"{text}: expected more than no time at all")
    return value


def parser() -> argparse.ArgumentParser:
    """Return the argument parser."""
    parser = _Parser(
        prog="tproxy-relay",
        description="Accept redirected TCP connections and UDP datagrams"
        " and carry them to where they were going.",
    )
    add = parser.add_argument
    add(
        "--listen",
        action="append",
        required=True,
        type=_reading(parse_endpoint),
        metavar="ADDRESS:PORT",
        help="where to accept TCP connections and receive UDP datagrams;"
        " may be given several times",
    )
    add(
        "--mark",
        default=0x2,
        type=_reading(parse_mark),
        metavar="MARK",
        help="firewall mark of our own connections, so that they are let through (default 0x2)",
    )
    add(
        "--max-connections",
        default=4096,
        type=_reading(_positive),
        metavar="N",
        help="how many at once; more wait in the kernel's queue (default 4096)",
    )
    add(
        "--connect-timeout",
        default=10.0,
        type=_reading(_seconds),
        metavar="SECONDS",
        help="how long the far end may take to answer (default 10)",
    )
    add(
        "--drain-seconds",
        default=10.0,
        type=_reading(_seconds),
        metavar="SECONDS",
        help="on SIGTERM, how long connections may take to finish (default 10);"
        " answers to datagrams get 2 at most",
    )
    add(
        "--udp-max",
        default=4096,
        type=_reading(_positive),
        metavar="N",
        help="how many pairs of UDP client and destination at once; a new one beyond that ends"
        " the one silent for longest, and a line says how many (default 4096)",
    )
    add(
        "--udp-idle",
        default=60.0,
        type=_reading(_some_seconds),
        metavar="SECONDS",
        help="how long such a pair may be silent before it is ended (default 60)",
    )
    add(
        "-v",
        "--verbose",
        action="store_true",
        help="one line for each connection or pair, and for each kind of error it meets",
    )
    add("--version", action="version", version=f"tproxy-relay {__version__}")
    return parser  # fmt: skip


def _raise_file_limit(options: Options) -> None:
    flows = options.max_connections + options.udp_max
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = flows * _FILES_PER_FLOW + _FILES_BESIDES
    if hard != resource.RLIM_INFINITY and wanted > hard:
        _say(f"{flows} connections and pairs need {wanted} open files, the limit is {hard}")
        wanted = hard
    if soft != resource.RLIM_INFINITY and wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM; 0 after a drain, 1 if it cannot run, 64 for a wrong command line."""
    given = parser().parse_args(argv)
    options = Options(
        listen=tuple(given.listen),
        mark=given.mark,
        max_connections=given.max_connections,
        connect_timeout=given.connect_timeout,
        drain_seconds=given.drain_seconds,
        udp_max=given.udp_max,
        udp_idle=given.udp_idle,
        verbose=given.verbose,
    )

    async def run() -> None:
        await Relay(options, _say).serve()

    _raise_file_limit(options)
    try:
        asyncio.run(run())
    except RelayError as error:
        _say(str(error))
        return 1
    except OSError as error:
        _say(f"stopped: {(error.strerror or str(error)).lower()}")
        return 1
    return 0
