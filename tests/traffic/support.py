"""An applied dual-stack host with a machine behind it, and sockets on all sides of its proxy."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from netplan_tproxy.cli import main as cli
from tests.lab import Lab, Namespace
from tests.lab.counters import pins_of
from tests.lab.patience import PATIENCE

PORT = 9040
BYPASS = 2  # the bypass mark
WAN_AND_LAN = {"wan0": "output", "lan0": "forward"}


class Family(NamedTuple):
    """The lab's addresses of one family."""

    number: socket.AddressFamily
    loopback: str
    far: str
    other: str
    host: str
    gate: str
    behind: str


V4 = Family(
    socket.AF_INET, "127.0.0.1", "1.1.1.1", "8.8.8.8", "10.77.0.2", "10.79.0.1", "10.79.0.2"
)
V6 = Family(
    socket.AF_INET6,
    "::1",
    "2606:4700:4700::1111",
    "2001:4860:4860::8888",
    "fd77::2",
    "fd79::1",
    "fd79::2",
)


class Sender(NamedTuple):
    """Where a client is, the interface that sees it, and the one it is bound to."""

    role: str
    interface: str
    device: str = ""


UNBOUND = Sender("host", "wan0")
BOUND = Sender("host", "wan0", "wan0")
BEHIND = Sender("lan", "lan0")


class Pair(NamedTuple):
    """An intercepted connection: the client's end and the proxy's."""

    near: socket.socket
    far: socket.socket


def make_site(interfaces: Mapping[str, str] = WAN_AND_LAN, *, when_down: str = "drop") -> str:
    """A site file with all four listeners; ``interfaces`` say what is intercepted on each."""
    lines = ["version: 1", "interfaces:"]
    lines += [f"  {name}: {{intercept: {what}}}" for name, what in interfaces.items()]
    lines += ["proxy:", f"  when_down: {when_down}"]
    for protocol in ("tcp", "udp"):
        lines += [f"  {protocol}: {{address: 127.0.0.1, port: {PORT}}}"]
        lines += [f'  {protocol}6: {{address: "::1", port: {PORT}}}']
    return "\n".join(lines) + "\n"


@dataclass
class Applied:
    """A lab and what ``tproxy-apply`` has made of its HOST."""

    lab: Lab

    def run(self, site: str) -> int:
        """Run ``tproxy-apply`` in HOST; its exit code."""
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file, self.lab.host.entered():
            file.write(site)
            file.flush()
            return cli.main([file.name])

    def apply(self, site: str) -> None:
        assert self.run(site) == 0

    @property
    def lan(self) -> Namespace:
        """The machine behind ``lan0``."""
        return self.namespace("lan")

    def namespace(self, role: str) -> Namespace:
        found: Namespace = getattr(self.lab, role)
        return found

    @property
    def maps(self) -> Path:
        return pins_of(self.lab) / "maps"

    def client(
        self,
        sender: Sender,
        family: Family,
        kind: socket.SocketKind = socket.SOCK_STREAM,
        *,
        mark: int = 0,
    ) -> socket.socket:
        """A socket that is not connected yet."""
        made = self.namespace(sender.role).socket(family.number, kind)
        if sender.device:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, sender.device.encode())
        if mark:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, struct.pack("=I", mark))
        return made

    def pair(self, proxy: socket.socket, sender: Sender, family: Family, *, port: int = 80) -> Pair:
        """A TCP connection through ``proxy``; fails if another one arrives there."""
        near = self.client(sender, family)
        near.connect((family.far, port))
        far, peer = proxy.accept()
        far.settimeout(PATIENCE)
        assert peer == near.getsockname()
        assert far.getsockname() == near.getpeername()
        return Pair(near, far)


@contextlib.contextmanager
def applied(site: str = "") -> Iterator[Applied]:
    with Lab(lan=True, ipv6=True) as lab:
        made = Applied(lab)
        introduce(lab)
        made.apply(site or make_site())
        yield made


def introduce(lab: Lab) -> None:
    """Tell HOST and NET their IPv6 neighbours.

    A router solicits them from its link-local address, and the lab has none.
    """
    assert lab.lan is not None
    for known, there, address, to, device in (
        (lab.net, "isp0", "fd77::1", lab.host, "wan0"),
        (lab.lan, "eth0", V6.behind, lab.host, "lan0"),
        (lab.host, "wan0", V6.host, lab.net, "isp0"),
    ):
        mac = json.loads(known.run(["ip", "-j", "link", "show", there]).stdout)[0]["address"]
        words = ["ip", "neigh", "replace", address, "lladdr", mac, "dev", device]
        to.run([*words, "nud", "permanent"])
