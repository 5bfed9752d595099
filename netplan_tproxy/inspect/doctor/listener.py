"""Whether the proxy listens, is transparent, and marks its own connections."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from netplan_tproxy.inspect.doctor.finding import Finding, fail, ok, unseen, warn
from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.kernel.host.users_cgroups import resolve_cgroups, resolve_users
from netplan_tproxy.kernel.sockets.diag import ESTABLISHED, Socket, sockets
from netplan_tproxy.kernel.sockets.listeners import all_listeners, at
from netplan_tproxy.kernel.sockets.owners import owners
from netplan_tproxy.site.model import Listener, Mark

_SYN_SENT = 2


def examine(target: Target) -> list[Finding]:
    """Examine each listener of the site file, and the processes that hold it."""
    if not target.listeners:
        why = "where the proxy should listen is not known without a site file"
        return [unseen("listener.tcp", why)]
    everybody = all_listeners()
    findings = []
    held: list[Socket] = []
    for name, listener in target.listeners:
        there = at(everybody, name.removesuffix("6"), listener.address, listener.port)
        held += there[:1]
        findings.append(judged(name, listener, there, target.links_by_index, target.bypass_mark))
    holders = owners(one.inode for one in held)
    pids = {pid: name for processes in holders.values() for pid, name in processes}
    if held and not pids:
        text = "whose the listener is cannot be seen (another user's, or in another pid namespace)"
        findings.append(unseen("listener.loop", text, "run it with sudo to see"))
    elif held:
        findings += _loops(target, held, pids)
    return findings


def judged(
    name: str,
    listener: Listener,
    there: Sequence[Socket],
    devices: Mapping[int, str],
    bypass: Mark,
) -> Finding:
    """Judge the sockets at a listener's address and port; the first one gets the packets. Pure."""
    code = f"listener.{name}"
    protocol = name.removesuffix("6")
    if not there:
        return fail(
            code,
            f"nobody listens on {protocol} {listener}: what is to be intercepted is refused",
            f"start the proxy, or try: `tproxy-relay --listen {listener} --mark {bypass.value:#x}`",
        )
    first = there[0]
    if first.ifindex:
        device = devices.get(first.ifindex, str(first.ifindex))
        return fail(
            code,
            f"{protocol} {listener} is bound to device {device}: it gets nothing from the others",
            "let the proxy listen without SO_BINDTODEVICE",
        )
    if first.transparent is None:
        said = f"somebody listens on {protocol} {listener}; whether transparently, a kernel before "
        return unseen(code, said + "5.10 does not tell")
    if not first.transparent:
        return fail(
            code,
            f"{protocol} {listener} is not transparent: it cannot answer from foreign addresses, "
            "so connections time out",
            'let the proxy set IP_TRANSPARENT (its "tproxy" or "transparent" setting, and '
            "CAP_NET_ADMIN)",
        )
    return ok(code, f"{protocol} {listener}: a transparent socket listens")


def _loops(target: Target, held: Sequence[Socket], pids: Mapping[int, str]) -> Iterator[Finding]:
    who = ", ".join(sorted({f"{name} (pid {pid})" for pid, name in pids.items()}))
    site = target.site
    users = set(resolve_users(site.policy.bypass_users).values()) if site else set()
    if any(one.uid in users for one in held):
        yield ok("listener.loop", f"{who}: what its user sends is left alone")
        return
    if site and any(_in_cgroup(pid, site.policy.bypass_cgroups) for pid in pids):
        yield ok("listener.loop", f"{who}: what its cgroup sends is left alone")
        return
    marks = (target.bypass_mark, *(site.policy.bypass_marks if site else ()))
    yield marking(who, marks, list(_own(pids, {one.port for one in held})))


def marking(who: str, marks: Sequence[Mark], own: Sequence[Socket]) -> Finding:
    """Judge a proxy by the marks on its own connections. Pure."""
    named = " or ".join(map(str, marks))
    advice = (
        f"let the proxy mark its own connections {named} (SO_MARK), or name its user below "
        "bypass: users: in the site file"
    )
    if not own or own[0].mark is None:
        text = f"{who}: no connection of its own to see whether it carries {named}"
        return unseen("listener.loop", text, advice)
    wrong = [one for one in own if not any((one.mark or 0) & m.mask == m.value for m in marks)]
    if wrong:
        text = (
            f"{who}: its connection to {wrong[0].remote_end} carries mark {wrong[0].mark or 0:#x}"
        )
        return warn("listener.loop", f"{text}: out of an intercepted interface it loops", advice)
    return ok("listener.loop", f"{who}: its own connections carry {named}")


def _own(pids: Mapping[int, str], ports: set[int]) -> Iterator[Socket]:
    inodes = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    inodes.add(str(entry.readlink()))
    for family in (socket.AF_INET, socket.AF_INET6):
        for one in sockets("tcp", family, ESTABLISHED, _SYN_SENT):
            mine = f"socket:[{one.inode}]" in inodes
            # An accepted socket has its listener's port, or is transparent too.
            if mine and not one.transparent and one.port not in ports and not _near(one.remote):
                yield one


def _near(address: str) -> bool:
    return address == "::1" or address.removeprefix("::ffff:").startswith("127.")


def _in_cgroup(pid: int, cgroups: Sequence[str]) -> bool:
    known = resolve_cgroups(cgroups)
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines():
            if line.startswith("0::"):
                mine = line[3:].rstrip("/") + "/"
                return any(mine.startswith("/" + one.strip("/") + "/") for one in known)
    return False
