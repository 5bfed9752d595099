"""Whether the proxy listens, is transparent, and marks its own connections."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from netplan_tproxy.inspect.doctor.finding import Finding, fail, ok, unseen, warn
from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.inspect.shared_ports import refused_listeners
from netplan_tproxy.kernel.host.users_cgroups import resolve_cgroups, resolve_users
from netplan_tproxy.kernel.sockets.diag import ESTABLISHED, Socket, sockets
from netplan_tproxy.kernel.sockets.listeners import all_listeners, at
from netplan_tproxy.kernel.sockets.owners import owners
from netplan_tproxy.site.address_set import AddressSet
from netplan_tproxy.site.model import Listener, Mark, Policy
from netplan_tproxy.site.sections.networks import parse_network, prefixes

_SYN_SENT = 2
_MAPPED = "::ffff:"


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
        if refused_listeners(there[:1]):
            findings.append(_refused(name, listener))
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
            f"nobody listens on {protocol} {listener}: intercepted connections are refused",
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
            f"{protocol} {listener} is not transparent, as anybody's socket may be: it gets no "
            "intercepted connections",
            'let the proxy set IP_TRANSPARENT (its "tproxy" or "transparent" setting, and '
            "CAP_NET_ADMIN)",
        )
    return ok(code, f"{protocol} {listener}: a transparent socket listens")


def _refused(name: str, listener: Listener) -> Finding:
    return fail(
        f"listener.{name}",
        f"{name.removesuffix('6')} {listener} shares its port (SO_REUSEPORT): bpf_sk_assign "
        "refuses it before Linux 6.6, so connections time out",
        "let the proxy listen without SO_REUSEPORT (HAProxy: 'noreuseport' in its global section)",
    )


def _loops(target: Target, held: Sequence[Socket], pids: Mapping[int, str]) -> Iterator[Finding]:
    who = ", ".join(sorted({f"{name} (pid {pid})" for pid, name in pids.items()}))
    site = target.site
    if site and any(_in_cgroup(pid, site.policy.bypass_cgroups) for pid in pids):
        yield ok("listener.loop", f"{who}: what its cgroup sends is left alone")
        return
    users = set(resolve_users(site.policy.bypass_users).values()) if site else set()
    marks = (target.bypass_mark, *(site.policy.bypass_marks if site else ()))
    own = list(_own(pids, {one.port for one in held}))
    elsewhere = [one for one in own if site is None or not _bypassed(site.policy, one)]
    if own and not elsewhere:
        yield ok("listener.loop", f"{who}: where it connects to is left alone")
        return
    # The listener is of whoever bound it, root as a rule. What the proxy opens later is of the
    # user that it has become.
    if not own and users & {_user(pid) for pid in pids}:
        yield ok("listener.loop", f"{who}: what its user sends is left alone")
        return
    yield marking(who, marks, users, elsewhere)


def marking(
    who: str, marks: Sequence[Mark], users: Collection[int], own: Sequence[Socket]
) -> Finding:
    """Judge a proxy by the users and marks of its own connections. Pure."""
    named = " or ".join(map(str, marks))
    advice = (
        f"let the proxy mark its own connections {named} (SO_MARK), or name its user below "
        "bypass: users: in the site file"
    )
    others = [one for one in own if one.uid not in users]
    if own and not others:
        return ok("listener.loop", f"{who}: its own connections are of a user who is left alone")
    if not own or others[0].mark is None:
        text = f"{who}: no connection of its own to see whether it carries {named}"
        return unseen("listener.loop", text, advice)
    wrong = [one for one in others if not any((one.mark or 0) & m.mask == m.value for m in marks)]
    if wrong:
        text = (
            f"{who}: its connection to {wrong[0].remote_end} is of user {wrong[0].uid} and carries "
            f"mark {wrong[0].mark or 0:#x}"
        )
        return warn("listener.loop", f"{text}: out of an intercepted interface it loops", advice)
    return ok("listener.loop", f"{who}: its own connections carry {named}")


def _bypassed(policy: Policy, one: Socket) -> bool:
    """Whether ``bypass.to`` or ``bypass.ports`` names where a socket is connected to."""
    remote = prefixes([parse_network(one.remote.removeprefix(_MAPPED))])
    return AddressSet(policy.bypass_to).holds_all(remote) or any(
        first <= one.remote_port <= last for first, last in policy.bypass_ports
    )


def _user(pid: int) -> int | None:
    """Read as whom a process makes sockets (the last of the four users in proc(5))."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
            if line.startswith("Uid:"):
                return int(line.split()[4])
    return None


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
    return address == "::1" or address.removeprefix(_MAPPED).startswith("127.")


def _in_cgroup(pid: int, cgroups: Sequence[str]) -> bool:
    known = resolve_cgroups(cgroups)
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines():
            if line.startswith("0::"):
                mine = line[3:].rstrip("/") + "/"
                return any(mine.startswith("/" + one.strip("/") + "/") for one in known)
    return False
