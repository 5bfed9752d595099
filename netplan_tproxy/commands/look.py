"""The runs that only look: ``--status`` and ``--explain``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.inspect import explain as explaining
from netplan_tproxy.inspect import status as reading
from netplan_tproxy.inspect.flow import Question
from netplan_tproxy.output import explain as explain_text
from netplan_tproxy.output import status as status_text
from netplan_tproxy.output.screen import watch
from netplan_tproxy.resource.kind import Kinds
from netplan_tproxy.state.state import State
from netplan_tproxy.system.signals import Interrupts

if TYPE_CHECKING:
    from netplan_tproxy.commands.options import Options

# Seconds over which rates are taken when nobody watches.
MOMENT = 0.25
_MANY = 1000

Say = Callable[[str], None]


@dataclass(frozen=True)
class Place:
    """Where to look."""

    kernel: Kernel
    kinds: Kinds
    state: State
    drift: Callable[[], reading.Drift]


def status_report(at: Place, before: reading.Counted, *, verbose: bool) -> dict[str, Any]:
    """Read everything once; rates are those since ``before``."""
    drift = None if reading.nothing_is_set_up(at.kernel, at.state) else at.drift()
    rest = before.at + MOMENT - time.monotonic()
    if drift is not None and rest > 0:
        time.sleep(rest)
    most = _MANY if verbose else reading.MOST_FLOWS
    return reading.report(at.kernel, at.kinds, at.state, before, drift, most_flows=most)


def status(at: Place, options: Options, say: Say, interrupts: Interrupts) -> None:
    """Say what is set up, once or until a signal comes."""
    before = reading.count(at.kernel)

    def picture() -> list[str]:
        nonlocal before
        report = status_report(at, before, verbose=options.verbose)
        before = reading.count(at.kernel)
        if _as_json(options):
            return _document("status", report)
        return status_text.lines(report, options.style, verbose=options.verbose)

    if options.watch is None:
        for line in picture():
            say(line)
        return
    in_place = options.in_place and not _as_json(options)
    watch(picture, say, interrupts, interval=options.watch, in_place=in_place)


def explain(at: Place, question: Question, options: Options, say: Say) -> None:
    """Say what would become of a connection."""
    report = explaining.report(at.kernel, at.kinds, at.state, question)
    if _as_json(options):
        lines = _document("explain", report)
    else:
        lines = explain_text.lines(report, options.style)
    for line in lines:
        say(line)


def _as_json(options: Options) -> bool:
    return bool(getattr(options, "json", False))


def _document(mode: str, report: Mapping[str, Any]) -> list[str]:
    from netplan_tproxy.output.document import envelope  # noqa: PLC0415 - where it is asked for

    return [envelope(mode, 0, report).rstrip("\n")]
