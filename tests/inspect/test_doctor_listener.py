"""What the doctor says of the proxy: there, transparent, and not in a loop."""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.cli import main as cli
from netplan_tproxy.inspect import shared_ports
from netplan_tproxy.inspect.doctor import listener
from netplan_tproxy.inspect.doctor.finding import FAIL, OK, UNSEEN, WARN, Finding
from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.inspect.surprises import surprises
from netplan_tproxy.kernel.netlink.handle import Netlink
from netplan_tproxy.site.load import load
from tests.lab import EchoServer, Lab
from tests.lab.cgroups import cgroup, inside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

SITE = """\
version: 1
interfaces: {wan0: {}}
proxy: {tcp: {port: 9040}, tcp6: {port: 9040}, udp: {port: 9040}}
"""
IP_TRANSPARENT, IPV6_TRANSPARENT, BINDTODEVICE = 19, 75, 25
STREAM, DGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(ipv6=True) as made:
        yield made


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    return path


def found(lab: Lab, site: Path) -> dict[str, Finding]:
    with lab.host.entered():
        netlink = Netlink()
        links = netlink.links()
        netlink.close()
        every = listener.examine(Target(load(site), links, privileged=True))
    return {one.code: one for one in every}


def opened(
    lab: Lab, address: str = "127.0.0.1", kind: socket.SocketKind = STREAM, *,
    transparent: bool = True, v6only: bool = True, device: str = "",
) -> socket.socket:  # fmt: skip
    six = ":" in address
    made = lab.host.socket(socket.AF_INET6 if six else socket.AF_INET, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if six:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6only))
    if transparent and six:
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
    elif transparent:
        made.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
    if device:
        made.setsockopt(socket.SOL_SOCKET, BINDTODEVICE, device.encode())
    made.bind((address, 9040))
    if kind == STREAM:
        made.listen(16)
    return made


@pytest.mark.parametrize("transparent", [True, False])
def test_each_listener_is_looked_at_by_itself(lab: Lab, site: Path, transparent: bool) -> None:  # noqa: FBT001
    ends = {"tcp": ("127.0.0.1", STREAM), "tcp6": ("::1", STREAM), "udp": ("127.0.0.1", DGRAM)}
    there = OK if transparent else FAIL
    with contextlib.ExitStack() as held:
        for name, (address, kind) in ends.items():
            before = found(lab, site)[f"listener.{name}"]
            assert (before.level, "nobody listens" in before.text) == (FAIL, True)
            held.enter_context(opened(lab, address, kind, transparent=transparent))
            assert found(lab, site)[f"listener.{name}"].level == there


@pytest.mark.parametrize(
    ("address", "v6only", "families"),
    [
        ("0.0.0.0", True, {"tcp"}), ("::", True, {"tcp6"}), ("::", False, {"tcp", "tcp6"}),
        ("127.0.0.1", True, {"tcp"}), ("127.0.0.2", True, set()), ("::1", False, {"tcp6"}),
    ],
)  # fmt: skip
def test_a_listener_on_any_address_counts_where_the_kernel_lets_it(
    lab: Lab,
    site: Path,
    address: str,
    v6only: bool,  # noqa: FBT001
    families: set[str],
) -> None:
    with opened(lab, address, v6only=v6only):
        seen = found(lab, site)
    good = {name for name in ("tcp", "tcp6") if seen[f"listener.{name}"].level == OK}
    assert good == families


@pytest.mark.parametrize("device", ["", "wan0", "lo"])
@pytest.mark.parametrize("transparent", [True, False])
def test_it_is_called_fit_just_when_it_serves(
    lab: Lab,
    site: Path,
    device: str,
    transparent: bool,  # noqa: FBT001
) -> None:
    site.write_text(SITE)
    with lab.host.entered():
        assert cli.main([str(site)]) == 0
    try:
        with (
            opened(lab, transparent=transparent, device=device) as proxy,
            lab.host.socket() as near,
        ):
            near.settimeout(0.3)
            proxy.settimeout(0.3)
            serves = False
            with contextlib.suppress(OSError):
                near.connect(("1.1.1.1", 80))
                proxy.accept()[0].close()
                serves = True
            assert (found(lab, site)["listener.tcp"].level == OK) == serves
    finally:
        with lab.host.entered():
            assert cli.main(["--destroy"]) == 0


def test_a_proxy_that_marks_its_own_connections_is_fine_and_one_that_does_not_loops(
    lab: Lab, site: Path
) -> None:
    with opened(lab), EchoServer(lab.net) as far:
        assert found(lab, site)["listener.loop"].level == UNSEEN
        with lab.host.socket() as upstream:
            upstream.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 2)
            upstream.connect(("1.1.1.1", far.port))
            fine = found(lab, site)["listener.loop"]
            assert (fine.level, "carry 0x2/0x2" in fine.text) == (OK, True)
        with lab.host.socket() as upstream:
            upstream.connect(("1.1.1.1", far.port))
            bad = found(lab, site)["listener.loop"]
            assert (bad.level, f"1.1.1.1:{far.port}" in bad.text) == (WARN, True)
            assert "0x2/0x2" in bad.advice


def as_nobody(lab: Lab, words: str) -> subprocess.Popen[str]:
    """A proxy that root has bound, and that is nobody's by now; it says when it is ready."""
    script = f"""
import os, socket, time
with socket.create_server(("127.0.0.1", 9040)) as proxy:
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    {words}
    print("ready", flush=True)
    time.sleep(60)
"""
    pipe = subprocess.PIPE
    child = lab.host.popen([sys.executable, "-c", script], stdout=pipe)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


@pytest.mark.parametrize(
    ("users", "connected", "level"),
    [
        ("[65534]", True, OK), ("[65534]", False, OK), ("[root]", True, WARN),
        ("[root]", False, UNSEEN), ("[root, 65534]", True, OK),
    ],
)  # fmt: skip
def test_a_proxy_counts_as_the_user_that_its_own_connections_are_of(
    lab: Lab,
    site: Path,
    users: str,
    connected: bool,  # noqa: FBT001
    level: str,
) -> None:
    site.write_text(SITE + f"bypass: {{users: {users}}}\n")
    with EchoServer(lab.net) as far:
        upstream = f'upstream = socket.create_connection(("1.1.1.1", {far.port}))'
        child = as_nobody(lab, upstream if connected else "pass")
        try:
            assert found(lab, site)["listener.loop"].level == level
        finally:
            child.kill()
            child.communicate()


def test_a_proxy_whose_user_is_bypassed_needs_no_mark(lab: Lab, site: Path) -> None:
    site.write_text(SITE + "bypass: {users: [root]}\n")
    with opened(lab):
        one = found(lab, site)["listener.loop"]
    assert one.level == OK
    assert f"pid {os.getpid()}" in one.text


def test_a_proxy_in_a_bypassed_cgroup_needs_no_mark(lab: Lab, site: Path) -> None:
    with cgroup("doctor") as ours, cgroup("doctors") as others, opened(lab):
        site.write_text(SITE + f"bypass: {{cgroups: ['{ours}']}}\n")
        for path, level in ((others, UNSEEN), (ours, OK)):
            with inside(path):
                assert found(lab, site)["listener.loop"].level == level


@pytest.mark.parametrize(
    ("release", "shared", "refused"),
    [
        ("6.1.0-18-amd64", True, True), ("6.1.0-18-amd64", False, False),
        ("6.6.0", True, False), ("6.5.13", True, True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [STREAM, DGRAM])
def test_a_listener_that_shares_its_port_is_refused_before_linux_6_6(  # noqa: PLR0917
    lab: Lab,
    site: Path,
    monkeypatch: pytest.MonkeyPatch,
    release: str,
    shared: bool,  # noqa: FBT001
    refused: bool,  # noqa: FBT001
    kind: socket.SocketKind,
) -> None:
    monkeypatch.setattr(platform, "release", lambda: release)
    monkeypatch.setattr(shared_ports, "knows_shared_ports", lambda: False)  # by its BTF
    script = f"""
import socket, time
proxy = socket.socket(socket.AF_INET, {int(kind)})
proxy.setsockopt(0, {IP_TRANSPARENT}, 1)
proxy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, {int(shared)})
proxy.bind(("127.0.0.1", 9040))
if proxy.type == socket.SOCK_STREAM:
    proxy.listen()
print("ready", flush=True)
time.sleep(60)
"""
    child = lab.host.popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        name = "tcp" if kind == STREAM else "udp"
        one = found(lab, site)[f"listener.{name}"]
        assert (one.level == FAIL, "shares its port" in one.text) == (refused, refused)
        with lab.host.entered():
            netlink = Netlink()
            said = surprises(load(site), netlink.links())
            netlink.close()
        named = [line for line in said if line.startswith(f"{name} 127.0.0.1:9040 shares its port")]
        assert len(named) == refused
    finally:
        child.kill()
        child.communicate()
