"""Datagrams through a relay: servers in NET, clients on both near sides, a host with the tool."""

from __future__ import annotations

import contextlib
import socket
import struct
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from netplan_tproxy.cli import main as cli
from tests.lab import Lab, Namespace
from tests.relay import bench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LISTEN = ("--listen", "127.0.0.1:9040", "--listen", "[::1]:9040")
FAR = {4: "1.1.1.1", 6: "2606:4700:4700::1111"}
OTHER = {4: "8.8.8.8", 6: "2001:4860:4860::8888"}
OURS = {4: "10.77.0.2", 6: "fd77::2"}

_HEADER = struct.Struct("!6H")  # RFC 1035, 4.1.1
_A_IN = struct.pack("!2H", 1, 1)


class Heard(NamedTuple):
    """One datagram at a server and where it came from."""

    data: bytes
    peer: tuple[str, int]


class UdpServer:
    """Answers each datagram with ``reply(data)`` and remembers them; a context manager."""

    def __init__(
        self,
        namespace: Namespace,
        address: str = "1.1.1.1",
        port: int = 53,
        reply: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self.heard: list[Heard] = []
        self._reply = reply
        self._bound = datagram_socket(namespace, address)
        self._bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._bound.bind((address, port))
        self._bound.settimeout(0.02)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"udp-{port}", daemon=True)

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                data, peer = self._bound.recvfrom(65535)
            except TimeoutError:
                continue
            self.heard.append(Heard(data, peer[:2]))
            self._bound.sendto(self._reply(data), peer)

    @property
    def peers(self) -> list[tuple[str, int]]:
        return [heard.peer for heard in self.heard]

    def tell(self, data: bytes, peer: tuple[str, int]) -> None:
        """Send without having been asked."""
        self._bound.sendto(data, peer)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)
        self._bound.close()


def dns_question(number: int) -> bytes:
    """Ask for the address of example.com."""
    return _HEADER.pack(number, 0x0100, 1, 0, 0, 0) + b"\x07example\x03com\x00" + _A_IN


def dns_answer(asked: bytes) -> bytes:
    """Say 192.0.2.53, as a name server does."""
    number = _HEADER.unpack_from(asked)[0]
    record = b"\xc0\x0c" + _A_IN + struct.pack("!IH4B", 60, 4, 192, 0, 2, 53)
    return _HEADER.pack(number, 0x8180, 1, 1, 0, 0) + asked[_HEADER.size :] + record


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
        assert self.relay.process.wait(5) == 0
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
