"""Datagrams through a relay: servers in NET, clients on both near sides, a host with the tool."""

from __future__ import annotations

import contextlib
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netplan_tproxy.cli import main as cli
from tests.lab import Lab, Namespace
from tests.lab.datagrams import DatagramServer
from tests.lab.patience import PATIENCE
from tests.relay import bench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LISTEN = ("--listen", "127.0.0.1:9040", "--listen", "[::1]:9040")
FAR = {4: "1.1.1.1", 6: "2606:4700:4700::1111"}
OTHER = {4: "8.8.8.8", 6: "2001:4860:4860::8888"}
OURS = {4: "10.77.0.2", 6: "fd77::2"}


class UdpServer(DatagramServer):
    """Answers on an address of NET."""

    def __init__(
        self,
        namespace: Namespace,
        address: str = "1.1.1.1",
        port: int = 53,
        reply: Callable[[bytes], bytes] = bytes,
    ) -> None:
        bound = datagram_socket(namespace, address)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        bound.bind((address, port))
        super().__init__(bound, reply)


def datagram_socket(namespace: Namespace, address: str, device: str = "") -> socket.socket:
    """A datagram socket for talking with that address, bound to a device if named."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = namespace.socket(family, socket.SOCK_DGRAM)
    if device:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    return made


def asked(near: socket.socket, data: bytes, where: tuple[str, int]) -> bytes:
    """Ask, and return the answer, which must come from there."""
    near.sendto(data, where)
    answer, source = near.recvfrom(65535)
    assert source[:2] == where
    return answer


def open_files(relay: bench.Running) -> int:
    """How many file descriptors the relay has."""
    return sum(1 for _ in Path(f"/proc/{relay.process.pid}/fd").iterdir())


def lan_client(lab: Lab, address: str = "1.1.1.1") -> socket.socket:
    assert lab.lan is not None
    return datagram_socket(lab.lan, address)


def site(*, when_down: str = "drop") -> str:
    """A site file: output on ``wan0``, forward on ``lan0``, all four listeners."""
    lines = ["version: 1", "interfaces:"]
    lines += ["  wan0: {intercept: output}", "  lan0: {intercept: forward}"]
    lines += ["proxy:", f"  when_down: {when_down}"]
    for protocol in ("tcp", "udp"):
        lines += [f"  {protocol}: {{address: 127.0.0.1, port: 9040}}"]
        lines += [f'  {protocol}6: {{address: "::1", port: 9040}}']
    return "\n".join(lines) + "\n"


@dataclass
class Stage:
    """A host with the tool applied, and the relay that is its proxy."""

    lab: Lab
    relay: bench.Running

    def client(self, who: str, address: str) -> socket.socket:
        """A client: ``unbound`` or ``bound`` (to wan0) in HOST, or ``behind`` it."""
        if who == "behind":
            return lan_client(self.lab, address)
        return datagram_socket(self.lab.host, address, "wan0" if who == "bound" else "")

    def restart(self) -> None:
        """End the relay cleanly and start another one."""
        self.relay.process.terminate()
        assert self.relay.process.wait(PATIENCE) == 0
        self.relay = start(self.lab)


def start(lab: Lab, *options: str) -> bench.Running:
    """Start a dual-stack relay in HOST and wait until it listens."""
    relay = bench.start(lab.host, *LISTEN, "--mark", "0x2", *options)
    relay.wait_for_line("listening on")
    return relay


@contextlib.contextmanager
def staged() -> Iterator[Stage]:
    """A lab in which ``tproxy-apply`` has run and a relay serves."""
    with Lab(lan=True, ipv6=True) as lab, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "site.yaml"
        file.write_text(site())
        with lab.host.entered():
            assert cli.main([str(file)]) == 0
        yield Stage(lab, start(lab))
