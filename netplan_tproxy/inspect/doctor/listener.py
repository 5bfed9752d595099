"""Whether the proxy listens, may take foreign addresses, and marks what is its own."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from netplan_tproxy.inspect.doctor.finding import Finding, fail, ok, unseen, warn
from netplan_tproxy.inspect.doctor.target import Patient
from netplan_tproxy.kernel.host.users_cgroups import resolve_cgroups, resolve_users
from netplan_tproxy.kernel.sockets.diag import ESTABLISHED, Socket, owners, sockets
from netplan_tproxy.kernel.sockets.listeners import all_listeners, at
from netplan_tproxy.site.model import Listener, Mark

_SYN_SENT = 2


def examine(patient: Patient) -> list[Finding]:
    """Look at each listener of the site file, and at whose it is."""
    if not patient.listeners:
        why = "where the proxy should listen is not known without a site file"
        return [unseen("listener.tcp", why)]
    everybody = all_listeners()
    findings = []
    found: list[Socket] = []
    for name, listener in patient.listeners:
        there = at(everybody, name.removesuffix("6"), listener.address, listener.port)
        found += there[:1]
        findings.append(judged(name, listener, there, patient.links_by_index))
    held = owners(one.inode for one in found)
    pids = {pid: name for holders in held.values() for pid, name in holders}
    if found and not pids:
        text = "whose the listener is cannot be seen (another user's, or in another pid namespace)"
        findings.append(unseen("listener.loop", text, "run it with sudo to see"))
    elif found:
        findings += _loops(patient, found, pids)
    return findings


def judged(
    name: str, listener: Listener, there: Sequence[Socket], devices: Mapping[int, str]
) -> Finding:
    """Judge the sockets at the place of a listener, the one that counts first. Pure."""
    code = f"listener.{name}"
    protocol = name.removesuffix("6")
    if not there:
        return fail(
            code,
            f"nobody listens on {protocol} {listener}: what is to be intercepted is refused",
            f"start the proxy, or try: tproxy-relay --listen {listener}",
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


def _loops(patient: Patient, found: Sequence[Socket], pids: Mapping[int, str]) -> Iterator[Finding]:
    who = ", ".join(sorted({f"{name} (pid {pid})" for pid, name in pids.items()}))
    site = patient.site
    users = set(resolve_users(site.policy.bypass_users).values()) if site else set()
    if any(one.uid in users for one in found):
        yield ok("listener.loop", f"{who}: what its user sends is left alone")
        return
    if site and any(_in_cgroup(pid, site.policy.bypass_cgroups) for pid in pids):
        yield ok("listener.loop", f"{who}: what its cgroup sends is left alone")
        return
    marks = (patient.bypass_mark, *(site.policy.bypass_marks if site else ()))
    yield marking(who, marks, list(_own(pids, {one.port for one in found})))


def marking(who: str, marks: Sequence[Mark], own: Sequence[Socket]) -> Finding:
    """Judge a proxy by the connections that it has made itself. Pure."""
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
            # An accepted one has its listener's port, or its transparency.
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
