from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from netplan_tproxy.kernel.bpf import attach
from netplan_tproxy.kernel.bpf.libbpf import Fd
from netplan_tproxy.kernel.bpf.programs import load_program
from tests.lab import (
    Capture,
    EchoServer,
    HttpServer,
    Lab,
    cgroups,
    diff_snapshots,
    isolate,
    processes,
    snapshot,
    sweep,
)
from tests.lab.effort import is_done_within
from tests.lab.patience import CURL, PATIENCE
from tests.paths import ROOT

pytestmark = pytest.mark.lab

RETURN_1 = bytes.fromhex("b700000001000000" + "9500000000000000")
SOCK_OPS = 3  # enum bpf_attach_type


def names() -> set[str]:
    return {path.name for path in isolate.NETNS_DIR.iterdir()}


def mounts() -> list[str]:
    return Path("/proc/self/mounts").read_text().splitlines()


def test_the_host_reaches_the_internet_over_http(lab: Lab) -> None:
    with HttpServer(lab.net) as server:
        answer = lab.host.run([*CURL, "http://1.1.1.1/"])
    assert answer.stdout == "hello from the internet, 10.77.0.2\n"
    assert [address for address, _ in server.peers] == ["10.77.0.2"]


def test_sockets_of_two_namespaces_are_driven_from_one_process(lab: Lab) -> None:
    with EchoServer(lab.net), lab.host.socket() as client:
        client.connect(("1.1.1.1", 7))
        client.sendall(b"to and fro")
        client.shutdown(1)
        assert client.recv(100) == b"to and fro"
        assert client.recv(100) == b""


def test_a_lan_client_reaches_the_internet_through_the_host(lan_lab: Lab) -> None:
    assert lan_lab.lan is not None
    with HttpServer(lan_lab.net):
        answer = lan_lab.lan.run([*CURL, "http://1.1.1.1/"])
    assert answer.stdout == "hello from the internet, 10.79.0.2\n"


def test_a_second_uplink_carries_what_is_bound_to_it() -> None:
    with Lab(wans=2) as lab, HttpServer(lab.net):
        curl = [*CURL, "--interface", "wan1", "http://1.1.1.1/"]
        assert lab.host.run(curl).stdout == "hello from the internet, 10.78.0.2\n"


def test_ipv6_works_when_asked_for() -> None:
    with Lab(lan=True, ipv6=True) as lab:
        assert lab.lan is not None
        with HttpServer(lab.net, "2606:4700:4700::1111"):
            for namespace, address in ((lab.host, "fd77::2"), (lab.lan, "fd79::2")):
                curl = [*CURL, "http://[2606:4700:4700::1111]/"]
                answer = namespace.run(curl).stdout
                assert answer == f"hello from the internet, {address}\n"


def test_two_labs_never_meet(lab: Lab) -> None:
    with Lab() as other, HttpServer(lab.net):
        assert names() >= {lab.host.name, other.host.name}
        lost = other.host.run([*CURL, "http://1.1.1.1/"], check=False)
        assert lost.returncode == 7
        other.host.sysctl("net.ipv4.ip_default_ttl", 33)
        assert lab.host.sysctl("net.ipv4.ip_default_ttl") == "64"


def test_closing_leaves_no_namespace_and_no_process() -> None:
    before = names()
    with Lab(lan=True) as lab:
        child = lab.host.popen(["sleep", "100"])
        stranger = lab.net.run(["sh", "-c", "sleep 100 >/dev/null 2>&1 & echo $!"]).stdout
        assert processes.inhabitants(lab.net.inode) == [int(stranger)]
    assert child.poll() == -signal.SIGTERM
    assert names() == before
    assert processes.inhabitants(lab.net.inode) == []


def test_a_failing_block_cleans_up_too() -> None:
    before = names()
    with pytest.raises(ZeroDivisionError), Lab():
        _ = 1 // 0
    assert names() == before


def test_the_thread_is_back_home_after_an_error_inside(lab: Lab) -> None:
    home = Path("/proc/thread-self/ns/net").readlink()
    with lab.host.entered():
        assert Path("/proc/thread-self/ns/net").readlink() != home
    with pytest.raises(ZeroDivisionError), lab.host.entered():
        _ = 1 // 0
    assert Path("/proc/thread-self/ns/net").readlink() == home


def test_what_a_dead_owner_left_is_swept_and_a_living_ones_is_not(lab: Lab) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait(PATIENCE)
    orphan = lab.host.path.with_name(f"ntp-{dead.pid}-abcdef-host")
    orphan.touch()
    foreign = lab.host.path.with_name("somebody-elses")
    foreign.touch()
    try:
        assert sweep.sweep() == [orphan.name]
        assert names() >= {lab.host.name, foreign.name}
    finally:
        foreign.unlink()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_removes_the_lab(number: signal.Signals) -> None:
    before = names()
    code = (
        "import time; from tests.lab import Lab, isolate; isolate.exit_on_sigterm();"
        "lab = Lab(); print(lab.name, flush=True); time.sleep(60)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline().startswith(b"ntp-")
        assert len(names()) == len(before) + 2
        child.send_signal(number)
        child.wait(PATIENCE)
    assert names() == before


def test_an_untouched_namespace_equals_itself_under_traffic(lab: Lab) -> None:
    before = snapshot(lab.host)
    with HttpServer(lab.net):
        lab.host.run([*CURL, "http://1.1.1.1/"])
    assert diff_snapshots(before, snapshot(lab.host)) == []
    assert len(before["sysctls"]) > 500


@pytest.mark.parametrize(
    ("command", "section"),
    [
        ("ip rule add fwmark 1 table 100 priority 1000", "rules4"),
        ("ip -6 rule add fwmark 1 table 100 priority 1000", "rules6"),
        ("ip route add local 0.0.0.0/0 dev lo table 100", "routes4"),
        ("ip -6 route add local ::/0 dev lo table 100", "routes6"),
        ("ip addr add 10.1.1.1/32 dev lo", "addresses"),
        ("ip link add dummy9 type veth peer name dummy8", "links"),
        ("tc qdisc add dev wan0 clsact", "qdiscs"),
        ("sysctl -qw net.ipv4.conf.lo.accept_local=1", "sysctls"),
        ("nft add table ip x", "nftables"),
        ("mkdir /sys/fs/bpf/x", "bpffs"),
    ],
)
def test_a_snapshot_notices(lab: Lab, command: str, section: str) -> None:
    before = snapshot(lab.host)
    lab.host.run(command.split())
    try:
        changed = diff_snapshots(before, snapshot(lab.host))
    finally:
        if section == "bpffs":
            (isolate.BPFFS / "x").rmdir()
    assert section in {line.split(":")[0] for line in changed}


def test_a_snapshot_notices_a_filter(lab: Lab) -> None:
    lab.host.run(["tc", "qdisc", "add", "dev", "wan0", "clsact"])
    before = snapshot(lab.host)
    add = ["tc", "filter", "add", "dev", "wan0", "egress", "prio", "7"]
    lab.host.run([*add, "bpf", "bytecode", "1,6 0 0 4294967295,"])
    changed = diff_snapshots(before, snapshot(lab.host))
    assert changed
    assert all(line.startswith("filters: + wan0 egress: ") for line in changed)


def test_a_capture_sees_every_packet_and_a_silent_wire_is_silent(lab: Lab) -> None:
    with Capture(lab.net, "isp0") as silence:
        time.sleep(0.3)
    assert silence.packets == []
    with Capture(lab.net, "isp0") as capture, HttpServer(lab.net):
        lab.host.run([*CURL, "http://1.1.1.1/"])
        opening = capture.wait_for(lambda packet: packet.flags == "S")
    assert (opening.src, opening.dst, opening.dport) == ("10.77.0.2", "1.1.1.1", 80)
    assert opening.arrived
    payload = b"".join(packet.payload for packet in capture.arrived("tcp"))
    assert payload.startswith(b"GET / HTTP/1.1\r\n")


def test_the_session_has_left_the_hosts_network_and_mounts() -> None:
    assert "lo" in {name for _, name in socket.if_nameindex()}
    assert not {name for _, name in socket.if_nameindex()} & {"eth0", "ens3", "wlan0"}
    mounted = {line.split()[1]: line.split()[0] for line in mounts()}
    assert (mounted["/run"], mounted["/sys/fs/bpf"]) == ("lab-run", "lab-bpf")


def test_the_session_sees_no_cgroup_but_its_own() -> None:
    for root in cgroups.roots():
        assert cgroups.current() == "/"
        assert str(os.getpid()) in (root / "cgroup.procs").read_text().split()


def test_a_snapshot_notices_a_program_on_the_sessions_cgroup(lab: Lab) -> None:
    before = snapshot(lab.host)
    root = Fd(os.open(cgroups.directory("/"), os.O_RDONLY))
    with (
        root,
        load_program(
            name="goes_on", prog_type=13, insns=RETURN_1, license="GPL", relocs=(), maps={}
        ) as program,
    ):
        attach.attach(int(program), root, SOCK_OPS, attach.ALLOW_MULTI, None)
        try:
            changed = diff_snapshots(before, snapshot(lab.host))
        finally:
            attach.detach(int(program), root, SOCK_OPS)
    assert changed == ["programs: + cgroup / sock_ops: 1 attached"]
    assert diff_snapshots(before, snapshot(lab.host)) == []


def test_a_lab_is_built_and_gone_within_a_quarter_second() -> None:
    assert is_done_within(0.25, lambda: Lab().close())


def test_a_session_can_begin_in_a_chroot_that_is_no_mount(tmp_path: Path) -> None:
    lines = [f"cd {tmp_path}; mkdir root; export PYTHONPATH={ROOT}"]
    for path in Path("/").iterdir():
        if path.is_dir() and not path.is_symlink():
            lines.append(f"mkdir root{path} && mount --rbind {path} root{path}")
        elif path.is_symlink():
            lines.append(f"ln -s {path.readlink()} root{path}")
    code = "from tests.lab import isolate as i; i.enter_private(anew=True); print(i.is_private())"
    lines.append(f"exec chroot root {sys.executable} -c '{code}'")
    before = mounts()
    done = subprocess.run(
        ["unshare", "-m", "sh", "-ec", "\n".join(lines)],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
    assert mounts() == before
