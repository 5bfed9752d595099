"""The report of ``--explain`` for people. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from netplan_tproxy.output.status import processes
from netplan_tproxy.output.style import PLAIN, Style
from netplan_tproxy.output.text import columns, cut, wrapped
from netplan_tproxy.system.text import clipped, printable

Report = Mapping[str, Any]

_ENDS = {
    "local": "stays on this host, which has the address {target}",
    "no_route": "goes nowhere: this host has no route to {target}",
    "not_watched": "left alone: nothing of ours watches what {goes} {device}",
    "unconfigured": "left alone: the programs have no config",
    "not_forwarding": "left alone: this host does not forward what comes in by {device}",
    "no_proxy": "left alone: no proxy is set up for {listener}",
    "bypass_address": "left alone: such addresses are never intercepted",
    "bypass_mark": "left alone: it carries a bypass mark",
    "not_named": "left alone: the policy does not name it",
    "bypass_from": "left alone: its source is bypassed",
    "bypass_to": "left alone: its destination is bypassed",
    "bypass_port": "left alone: its port is bypassed",
    "bypass_user": "left alone: its user is bypassed",
    "bypass_cgroup": "left alone: its cgroup is bypassed",
    "intercepted": "goes to the proxy on {proxy}",
    "lost": "lost: meant for {proxy}, but no rule and route bring it there: see --status",
    "refused": "refused: {nobody} on {proxy}",
    "down_bypassed": "goes out directly: {nobody} on {proxy}, and it is to go on then",
}
_V4 = 96


def lines(report: Report, style: Style = PLAIN) -> list[str]:
    """Return the report: connection, questions and answers, outcome."""
    shown = [style.bold(line) for line in wrapped(_connection(report["connection"]), style.width)]
    rows = [(step["key"] or "address", _answer(step, report)) for step in report["steps"][:-1]]
    last = report["steps"][-1] if report["steps"] else None
    if last is not None and last["outcome"] != "intercepted":
        rows.append((last["key"] or "address", _answer(last, report)))
    shown += [f"  {cut(row, style.width - 2)}" for row in columns(rows)]
    paint = {"intercepted": style.ok, "refused": style.fail, "lost": style.fail}.get(
        report["outcome"], style.warn
    )
    shown += [paint(line) for line in wrapped(_end(report), style.width)]
    shown += _places(report, style)
    return shown


def _connection(one: Report) -> str:
    source = one["source"] or "any source"
    way = "leaves by" if one["direction"] == "output" else "comes in by"
    words = [f"{one['protocol']} {source} → {_joined(one['target'], one['port'])}"]
    if one["device"]:
        words.append(f"{way} {one['device']}{' (tcx)' if one['attach'] == 'tcx' else ''}")
    if one["direction"] == "output":
        words.append(f"sent by {one['user'] or 'root'}")
    if one["cgroup"]:
        words.append(f"in {one['cgroup']}")
    if one["mark"]:
        words.append(f"marked {one['mark']:#x}")
    return printable(", ".join(words))


def _joined(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _answer(step: Report, report: Report) -> str:
    one, key = report["connection"], step["key"]
    section, _, what = key.partition(".")
    if not key:
        return "never intercepted" if step["matched"] else "may be intercepted"
    if section == "proxy":
        return "in the site file" if step["matched"] else "not in the site file"
    if "marks" in key:
        return "carried" if step["matched"] else "not carried"
    subject = {
        "from": one["source"], "to": one["target"], "ports": str(one["port"]),
        "users": one["user"] or "root", "cgroups": one["cgroup"] or "no cgroup given",
    }[what]  # fmt: skip
    if step["matched"]:
        by = _network(subject, step["bits"]) if what in {"from", "to"} else ""
        return f"{subject} is in it{by}"
    return f"{subject} is not in it"


def _network(address: str, bits: int) -> str:
    """Return the network that matched an address; "" where it is the address itself."""
    host = ipaddress.ip_address(address)
    length = bits - _V4 if host.version == 4 else bits  # noqa: PLR2004
    if length < 0 or length == host.max_prefixlen:
        return ""
    return f", by {ipaddress.ip_network((address, length), strict=False)}"


def _end(report: Report) -> str:
    one, proxy = report["connection"], report["proxy"]
    family = "6" if ":" in one["target"] else ""
    text = _ENDS[report["outcome"]].format(
        target=one["target"],
        device=one["device"] or "any interface",
        goes="leaves by" if one["direction"] == "output" else "comes in by",
        listener=one["protocol"] + family,
        proxy=proxy["address"] if proxy else "",
        nobody=(
            "no transparent socket listens" if proxy and proxy["listening"] else "nobody listens"
        ),
    )
    if report["outcome"] == "intercepted" and proxy:
        text += f": {processes(proxy['processes'])}"
    return text


def _places(report: Report, style: Style) -> Iterator[str]:
    places = report["decided_by"]
    if places:
        moved = not all(place["current"] for place in places)
        yield "as it was applied, and has changed since:" if moved else "decided by"
        for place in places:
            where = f"{place['file']}:{place['line']}:{place['column']}"
            if place["line"] is None:
                where = "by default"
            text = printable(f"  {where}: {place['key']}: {clipped(place['text'])}")
            yield from map(style.dim, wrapped(text, style.width))
    elif report["outcome"] in {
        "not_watched",
        "unconfigured",
        "local",
        "no_route",
        "not_forwarding",
    }:
        return
    elif not report["on_record"]:
        yield style.dim("which line of the file decides is not on record")
