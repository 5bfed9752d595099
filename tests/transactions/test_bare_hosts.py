"""Hosts that lack something: what works there, what is refused, and how (docs/limits.md).

Each is made of mounts that a run alone sees.
"""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.kernel.host.sysctl import has_ipv6
from netplan_tproxy.kernel.netlink.handle import Netlink
from tests.datapath import support
from tests.lab.host import SITE, Host, unchanged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.host import Run

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

FAST = f"{SITE}fastpath: {{enabled: true, accept: [fionread]}}\n"
OF_CGROUP = f"{SITE}bypass: {{cgroups: [/some.slice]}}\n"
ENOUGH = ("net_admin", "bpf", "perfmon")


def seeing(*lines: str, pids: bool = False) -> tuple[str, ...]:
    """Words before a command, which then sees these mounts; ``pids``: it is a container's first."""
    unshare = ["unshare", "--mount"]
    if pids:
        unshare += ["--pid", "--fork", "--kill-child", "--mount-proc"]
    return (*unshare, "sh", "-c", " && ".join([*lines, 'exec "$@"']), "sh")


NO_BTF = seeing("mount -t tmpfs none /sys/kernel/btf")
NO_CGROUP2 = seeing(
    "for at in $(awk '$3 == \"cgroup2\" {print $2}' /proc/self/mounts); do umount -l $at; done",
    pids=True,
)
READ_ONLY = seeing("mount --bind /proc/sys /proc/sys", "mount -o remount,bind,ro /proc/sys")
HIDDEN = seeing("mount -t proc -o hidepid=2 proc /proc")
NET_ADMIN = ("setpriv", "--bounding-set=-all,+net_admin")


def run(host: Host, text: str, prefix: tuple[str, ...], *options: str) -> Run:
    host.write(text)
    return host.spawn(str(host.site), *options, prefix=prefix)


def served(host: Host, folder: Path) -> bool:
    """Whether an intercepted connection carries something."""
    folder.mkdir()
    on = support.Applied(host.lab, folder)
    with support.listener(on) as proxy:
        near, far = on.pair(proxy)
        with near, far:
            near.sendall(b"x")
            return far.recv(1) == b"x"


def doctor(host: Host, text: str, prefix: tuple[str, ...]) -> str:
    return "\n".join(run(host, text, prefix, "--doctor").out)


def test_without_btf_all_works_but_the_fast_path(host: Host, tmp_path: Path) -> None:
    done = run(host, SITE, NO_BTF)
    assert (done.code, done.err) == (0, "")
    said = "\n".join(done.out)
    assert "! this kernel doesn't let a program see whether a socket is transparent (no BTF" in said
    assert served(host, tmp_path / "other")
    host.destroyed()
    with unchanged(host.look):
        done = run(host, FAST, NO_BTF)
    assert done.code == 1
    assert done.err.startswith("tproxy-apply: fastpath: this kernel has no BTF (/sys/kernel/btf/")
    assert done.err.endswith("; nothing was touched\n")
    assert "FAIL  no BTF, which the fast path needs" in doctor(host, FAST, NO_BTF)


def test_without_cgroup2_all_works_but_what_names_cgroups(host: Host, tmp_path: Path) -> None:
    done = run(host, SITE, NO_CGROUP2)
    assert (done.code, done.err) == (0, "")
    assert served(host, tmp_path / "other")
    host.destroyed()
    for text, where in (
        (OF_CGROUP, "5:20: bypass.cgroups[0]: no cgroup '/some.slice'"),
        (FAST, "1:1: fastpath.cgroup: no cgroup '/'"),
    ):
        with unchanged(host.look):
            done = run(host, text, NO_CGROUP2)
        said = f"{host.site}:{where} here: no cgroup2 is mounted; nothing was touched"
        assert (done.code, done.err) == (65, f"{said}\n")
    told = doctor(host, OF_CGROUP, NO_CGROUP2)
    assert "FAIL  no cgroup2 is mounted, and the site file names cgroups" in told


def test_a_read_only_proc_sys_is_refused_unless_all_is_set_already(
    host: Host, tmp_path: Path
) -> None:
    name = "net.ipv4.conf.lo.accept_local"
    with unchanged(host.look):
        done = run(host, SITE, READ_ONLY)
        assert "FAIL  /proc/sys is read-only here" in doctor(host, SITE, READ_ONLY)
    said = (
        f"tproxy-apply: sysctl {name}: /proc/sys is read-only here, as in containers: set it from "
        f"outside (docker run --sysctl {name}=1) or mount /proc/sys read-write; nothing was touched"
    )
    assert (done.code, done.err) == (1, f"{said}\n")
    host.namespace.sysctl(name, 1)
    assert "/proc/sys is read-only here, and set as the file asks" in doctor(host, SITE, READ_ONLY)
    done = run(host, SITE, READ_ONLY)
    assert (done.code, done.err) == (0, "")
    assert served(host, tmp_path / "other")
    assert host.spawn("--destroy", prefix=READ_ONLY).code == 0
    host.namespace.sysctl(name, 0)


@pytest.fixture
def own() -> Iterator[Path]:
    """A folder of nobody's own, for the site file and the state."""
    path = Path("/run/own")
    path.mkdir()
    os.chown(path, 65534, 65534)
    yield path
    shutil.rmtree(path)


def test_where_processes_are_hidden_all_works_and_whose_the_listener_is_stays_unsaid(
    host: Host, own: Path
) -> None:
    given = ",".join(f"+{name}" for name in ENOUGH)
    nobody = (
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"--inh-caps={given}",
        f"--ambient-caps={given}",
    )  # fmt: skip
    prefix = (*HIDDEN, *nobody)
    site = own / "site.yaml"
    site.write_text(SITE)
    state = f"--state-dir={own / 'state'}"
    with support.listener(support.Applied(host.lab, own)):
        site.write_text(SITE)
        done = host.spawn(str(site), state, prefix=prefix)
        assert (done.code, done.err) == (0, "")
        status = host.spawn("--status", state, prefix=prefix)
        assert (status.code, status.err) == (0, "")
        assert "tcp  127.0.0.1:9040" in "\n".join(status.out)
        told = "\n".join(host.spawn(str(site), "--doctor", state, prefix=prefix).out)
    assert "whose the listener is cannot be seen (another user's, or in another pid" in told
    assert host.spawn("--destroy", state, prefix=prefix).code == 0


def test_a_container_with_net_admin_alone_is_told_what_to_give_it(host: Host) -> None:
    way = "give it to this container or unit (--cap-add, CapabilityBoundingSet=)"
    with unchanged(host.stare):
        for options in ((), ("--check",)):
            done = run(host, SITE, NET_ADMIN, *options)
            said = f"tproxy-apply: CAP_BPF missing: {way}; nothing was touched\n"
            assert (done.code, done.err) == (1, said)
        assert "FAIL  root, but without CAP_BPF" in doctor(host, SITE, NET_ADMIN)


def test_of_a_family_that_the_kernel_has_not_got_there_is_nothing(host: Host) -> None:
    # As of IPv6 that was disabled at boot. No kernel tells of rules or routes of AppleTalk.
    with host.namespace.entered():
        netlink = Netlink()
        families = [socket.AF_APPLETALK, *((socket.AF_INET6,) if not has_ipv6() else ())]
        found = [[netlink.all_rules(one), netlink.routes(one)] for one in families]
        theirs = netlink.all_rules(socket.AF_INET)
        netlink.close()
    assert found == [[[], []]] * len(families)
    assert theirs


def test_without_ipv6_a_listener_of_it_is_refused_at_its_line(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netplan_tproxy.datapath.host.has_ipv6", lambda: False)
    host.write(SITE.replace("{port: 9040}", "{tcp: {port: 9040}, tcp6: {port: 9040}}"))
    with unchanged(host.stare):
        done = host.apply()
    why = "proxy.tcp6: this host has no IPv6 (it is disabled at boot: ipv6.disable=1)"
    assert done.code == 1
    assert done.err == f"tproxy-apply: {host.site}:4:28: {why}; nothing was touched\n"
