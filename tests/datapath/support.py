"""An applied host, sockets on both sides of its proxy, and what the programs have counted.

The proxy of most tests is a bare listener: ``connect`` succeeds before anybody accepts, so a
test holds both ends of an intercepted connection without a thread, and whatever reaches the
wire is a leak.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from netplan_tproxy.cli import main as cli
from netplan_tproxy.datapath import layouts
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf.libbpf import Fd
from tests.lab import Lab
from tests.lab.counters import pins_of
from tests.lab.patience import PATIENCE
from tests.lab.streams import read_exactly

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

FAR = "1.1.1.1"
WEB = (FAR, 80)
PROXY = ("127.0.0.1", 9040)
SITE = "version: 1\ninterfaces:\n{}proxy: {{port: 9040}}\n"

_IP_TRANSPARENT = 19  # <linux/in.h>


class Pair(NamedTuple):
    """An intercepted connection: the client's end and the proxy's."""

    near: socket.socket
    far: socket.socket


class Applied:
    """A lab, its site file, and runs of ``tproxy-apply`` in HOST."""

    def __init__(self, lab: Lab, directory: Path, *, extra: str = "") -> None:
        self.lab = lab
        self.site = directory / "site.yaml"
        self.write(extra)

    def write(self, extra: str = "") -> None:
        """Replace the site file: all of the lab's uplinks, and ``extra`` lines of YAML."""
        uplinks = "".join(f"  {wan.name}: {{}}\n" for wan in self.lab.wans)
        self.site.write_text(SITE.format(uplinks) + extra)

    def apply(self) -> None:
        with self.lab.host.entered():
            assert cli.main([str(self.site)]) == 0

    def destroy(self) -> None:
        with self.lab.host.entered():
            assert cli.main(["--destroy"]) == 0

    @property
    def pins(self) -> Path:
        return pins_of(self.lab)

    def client(
        self, device: str = "", *, port: int = 0, mark: int = 0, address: str = ""
    ) -> socket.socket:
        """A socket in HOST that is not connected yet."""
        made = self.lab.host.socket()
        if device:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        if mark:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, struct.pack("=I", mark))
        if port or address:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((address, port))
        return made

    def connect(
        self, device: str = "", where: tuple[str, int] = WEB, *, port: int = 0, mark: int = 0
    ) -> socket.socket:
        made = self.client(device, port=port, mark=mark)
        try:
            made.connect(where)
        except BaseException:
            made.close()
            raise
        return made

    def pair(self, proxy: socket.socket, device: str = "", *, port: int = 0) -> Pair:
        """A connection through ``proxy``; fails if another one arrives there."""
        near = self.connect(device, port=port)
        try:
            far, peer = proxy.accept()
        except BaseException:
            near.close()
            raise
        far.settimeout(PATIENCE)
        assert peer == near.getsockname()
        return Pair(near, far)


@contextlib.contextmanager
def applied(directory: Path, *, wans: int = 1, lan: bool = False) -> Iterator[Applied]:
    with Lab(wans=wans, lan=lan) as lab:
        made = Applied(lab, directory)
        made.apply()
        yield made


def listener(
    on: Applied,
    where: tuple[str, int] = PROXY,
    *,
    transparent: bool = True,
    shared: bool = False,
) -> socket.socket:
    """A listener in HOST, the proxy's unless told otherwise."""
    family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
    made = on.lab.host.socket(family)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if transparent:
        made.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
    made.bind(where)
    made.listen(4096)
    return made


@contextlib.contextmanager
def relay(on: Applied, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A ``tproxy-relay`` in HOST, ready."""
    where = "{}:{}".format(*PROXY)
    program = [sys.executable, "-m", "netplan_tproxy.relay", "--listen", where, *options]
    child = on.lab.host.popen(program)
    try:
        wait_until_listening(on)
        yield child
    finally:
        child.kill()
        child.wait(PATIENCE)


def wait_until_listening(on: Applied) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with on.lab.host.socket() as probe:
            if probe.connect_ex(PROXY) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("the relay does not listen")


@contextlib.contextmanager
def replies(on: Applied) -> Iterator[Fd]:
    """The table of the intercepted connections of late."""
    with bpf_maps.open_pinned(str(on.pins / "maps" / layouts.REPLIES.pin)) as fd:
        yield fd


def reply_key(near: socket.socket) -> bytes:
    """What a client's connection goes by in that table."""
    ends = (near.getsockname()[:2], near.getpeername()[:2])
    addresses = b"".join(mapped(address) for address, _ in ends)
    ports = struct.pack("!HH", *(port for _, port in ends))
    return (
        addresses
        + ports
        + struct.pack("=I", near.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL))
    )


def mapped(address: str) -> bytes:
    """An address as the programs hold it: IPv4 as ::ffff:0:0/96."""
    found = ipaddress.ip_address(address)
    return found.packed if found.version == 6 else bytes(10) + b"\xff\xff" + found.packed


def echoes(end: socket.socket, where: tuple[str, int], size: int = 300_000) -> bool:
    """Whether an echo server there works, for more than one packet, to its end."""
    end.connect(where)
    data = bytes(range(250)) * (size // 250)
    for start in range(0, size, 50_000):
        end.sendall(data[start : start + 50_000])
        if read_exactly(end, 50_000) != data[start : start + 50_000]:
            return False
    end.shutdown(socket.SHUT_WR)
    return end.recv(1) == b""


def connecting_until(stop: Path) -> str:
    """A script for bash: connect again and again until ``stop`` is there, and say how often."""
    return f"""
        for (( count = 0; count < 1000000; count++ )); do
            exec 3<>/dev/tcp/1.1.1.1/80 || exit 1
            exec 3>&-
            [ -e {stop} ] && break
        done
        echo $count"""
