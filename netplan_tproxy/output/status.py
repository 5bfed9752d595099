"""The report of ``--status`` for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from netplan_tproxy.output import plan as plan_text
from netplan_tproxy.output.screen import Line
from netplan_tproxy.output.style import PLAIN, Style
from netplan_tproxy.output.text import ago, columns, cut, moment, rate, size, wrapped
from netplan_tproxy.system.text import printable

Report = Mapping[str, Any]

NOTHING = "nothing is set up here"
_DOWN = {
    "drop": "new connections and datagrams are refused",
    "bypass": "new connections and datagrams go out directly",
}
_RIGHT = frozenset({0, 1, 2})
# What is cut of a screen that is too small: the higher the sooner.
_NEVER, _PROXY, _DIFFERENCE, _INTERFACE, _FASTPATH, _COUNTERS, _FLOWS, _BLANK, _PROGRAMS = (
    0, 1, 2, 3, 4, 4, 6, 7, 8,
)  # fmt: skip
_TOGETHER = 5
_MOST_PROCESSES = 3


def lines(report: Report, style: Style = PLAIN, *, verbose: bool = False) -> list[str]:
    """Return the report; ``verbose``: with the connections, and the programs' digests."""
    return [line.text for line in ranked(report, style, verbose=verbose)]


def ranked(report: Report, style: Style = PLAIN, *, verbose: bool = False) -> list[Line]:
    """Return the same for a screen, on which not all may have room.

    Never cut: the head, the number of connections, whether it has drifted.
    """
    if not report["set_up"]:
        return [Line(NOTHING)]
    blocks = [
        _ranks(_head(report, style), _NEVER),
        *(_ranked_interface(one, style, verbose=verbose) for one in report["interfaces"]),
        _ranks(_listeners(report, style), _PROXY),
        _ranks(flow_lines(report["flows"], style, verbose=verbose), _FLOWS, kept=2),
        _ranks(_fastpath(report["fastpath"], style), _FASTPATH),
        _ranked_drift(list(_drift(report["drift"], style))),
    ]
    shown: list[Line] = []
    for block in blocks:
        if block:
            shown += [*([Line("", _BLANK)] if shown else []), *block]
    return [Line(piece, one.rank) for one in shown for piece in wrapped(one.text, style.width)]


def _ranks(lines: Iterable[str], rank: int, *, kept: int = 0) -> list[Line]:
    """Rank the lines of a block; the first ``kept`` are never cut."""
    return [Line(text, _NEVER if at < kept else rank) for at, text in enumerate(lines)]


def _ranked_interface(one: Report, style: Style, *, verbose: bool) -> list[Line]:
    heading, *rest = _interface(one, style, verbose=verbose)
    programs = len(one["programs"])
    counters = [
        Line(text, min(_COUNTERS + at // _TOGETHER, _FLOWS))
        for at, text in enumerate(rest[programs:])
    ]
    heads = _PROGRAMS if one["name"] == "lo" else _INTERFACE
    return [Line(heading, heads), *_ranks(rest[:programs], _PROGRAMS), *counters]


def _ranked_drift(lines: Sequence[str]) -> list[Line]:
    """Rank the difference: that there is one, and how great it is, is never cut."""
    short = len(lines) <= 3  # noqa: PLR2004 - heading, one line or two of what is so
    inner = _NEVER if short else _DIFFERENCE
    return [
        Line(text, inner if 0 < at < len(lines) - 1 else _NEVER) for at, text in enumerate(lines)
    ]


def _head(report: Report, style: Style) -> Iterator[str]:
    site = report["site"]
    if site is None:
        yield style.warn("set up, but which site file it came of is not on record")
    else:
        yield style.bold(cut(printable(f"site {site['name']}: {site['file']}"), style.width))
        yield f"  applied {moment(site['at'])}, {ago(site['age'])} ago"
    if report["pending_seconds"] is not None:
        yield style.warn(f"  goes back in {report['pending_seconds']:.0f} s unless confirmed")
    if report["cut_short"]:
        yield style.warn("  a run was cut short: the next one starts from what it left")
    if report["when_down"] is None:
        yield style.fail("  there is no config: everything is left alone")


def _interface(one: Report, style: Style, *, verbose: bool) -> Iterator[str]:
    what = f": {' and '.join(one['intercept'])}" if one["intercept"] else ""
    yield style.bold(f"{one['name']}{what}")
    rows = []
    for program in one["programs"]:
        age = "" if program["age"] is None else f"{ago(program['age'])} old"
        hook = program["hook"] + (" (tcx)" if program["attach"] == "tcx" else "")
        name = program["program"] if verbose else program["program"].partition("@")[0]
        rows.append((hook, name, age))
    for row, program in zip(columns(rows), one["programs"], strict=True):
        yield f"  {row}" if program["current"] else style.warn(f"  {row} (not the pinned one)")
    counted = [
        (
            f"{each['packets']}", size(each["bytes"]), rate(each["packets_per_second"]),
            each["outcome"].replace("_", " "),
        )
        for each in one["counters"]
    ]  # fmt: skip
    if counted:
        title, *rest = columns([("packets", "bytes", "now", "what happened to them"), *counted],
                               right=_RIGHT)  # fmt: skip
        yield style.dim(f"  {title}")
        yield from (f"  {row}" for row in rest)


def _listeners(report: Report, style: Style) -> Iterator[str]:
    if not report["listeners"]:
        return
    yield style.bold("proxy")
    heads = columns([(one["protocol"], one["address"]) for one in report["listeners"]])
    width = max(len(head) for head in heads)
    for head, one in zip(heads, report["listeners"], strict=True):
        if one["listening"]:
            waiting = (
                "" if one["waiting"] is None else f", {one['waiting']} of {one['backlog']} waiting"
            )
            held = processes(one["processes"])
            opaque = one["transparent"] is False
            said = style.fail(f"not transparent: {held}") if opaque else style.ok(held)
            text = said + waiting
        else:
            text = style.fail("nobody listens")
        yield f"  {head.ljust(width)}  {text}"
    if not all(one["listening"] for one in report["listeners"]):
        yield style.warn(f"  where nobody listens {_DOWN[report['when_down']]}")
    if any(one["transparent"] is False for one in report["listeners"]):
        yield style.warn("  a socket without IP_TRANSPARENT gets no intercepted connections")


def processes(held: Sequence[Report]) -> str:
    """Return the names and numbers of the processes that hold a socket."""
    if not held:
        return "a process that is not seen from here"
    names = [printable(f"{one['name']} ({one['pid']})") for one in held[:_MOST_PROCESSES]]
    more = f" and {len(held) - _MOST_PROCESSES} more" if len(held) > _MOST_PROCESSES else ""
    return ", ".join(names) + more


def flow_lines(flows: Report, style: Style, *, verbose: bool) -> Iterator[str]:
    """Return the lines on intercepted connections."""
    yield style.bold("intercepted now")
    connections, datagrams = (
        f"{number} {what}{'' if number == 1 else 's'}"
        for number, what in ((flows["tcp"], "connection"), (flows["udp_remembered"], "UDP flow"))
    )
    about = "about " if flows["sampled"] else ""
    yield f"  {about}{connections}, {datagrams} remembered"
    if not verbose:
        return
    rows = [
        (one["client"], "→", one["destination"], processes(one["processes"]))
        for one in flows["listed"]
    ]
    yield from (cut(f"    {row}", style.width) for row in columns(rows))
    more = flows["tcp"] - len(flows["listed"])
    if more > 0:
        yield style.dim(f"    and {more} more")


def _fastpath(fast: Mapping[str, int] | None, style: Style) -> Iterator[str]:
    if fast is None:
        return
    yield style.bold("fast path")
    held, most = fast["connections"], fast["most_connections"]
    connections = f"{held} connection{'' if held == 1 else 's'} ({most} at most)"
    yield f"  {fast['sockets']} sockets take part now, of {connections}"
    if held >= most:
        yield style.warn("  it is full: new connections use TCP")
    yield f"  {fast['messages']} messages redirected, {fast['bytes']} bytes"
    for what in ("demoted", "refused", "left"):
        told = {name: number for name, number in fast.items() if name.startswith(f"{what}_")}
        words = ", ".join(
            f"{number} {name.partition('_')[2].replace('_', ' ')}"
            for name, number in told.items()
            if number
        )
        if words:
            yield f"  {what}: {words}"


def _drift(drift: Report | None, style: Style) -> Iterator[str]:
    if drift is None:
        return
    yield style.bold("drift")
    if drift["why"]:
        yield from map(style.warn, wrapped(f"  {printable(drift['why'])}", style.width))
        if drift["against"] == "nothing":
            yield style.warn("  unknown, since what was applied is not on record")
            return
        yield "  compared with what was applied instead:"
    differing = sum(drift["counts"].values())
    if not differing and not drift["conflicts"]:
        file = cut(printable(drift["file"]), max(style.width - 30, 1))
        what = "it was when it was applied" if drift["why"] else f"{file} says"
        yield f"  {style.ok('none')}: the kernel is as {what}"
        return
    for conflict in drift["conflicts"]:
        yield from map(style.fail, wrapped(f"  {conflict}", style.width))
    if differing:
        for line in plan_text.lines({**drift, "present": [], "kept": []}, style.inset(2)):
            yield f"  {line}".rstrip()
