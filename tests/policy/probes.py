"""First packets of flows, and who gets them: the proxy, or NET, which refuses them."""

from __future__ import annotations

import itertools
import os
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

from tests.datapath import support
from tests.lab import cgroups
from tests.lab.counters import read_counters
from tests.lab.patience import PATIENCE
from tests.lab.streams import reset

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab import Lab, Namespace

T = TypeVar("T")

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
SOURCES = {
    ("output", 4): ("10.77.0.2", "10.77.0.50"), ("output", 6): ("fd77::2", "fd77::50"),
    ("forward", 4): ("10.79.0.2", "10.79.0.50"), ("forward", 6): ("fd79::2", "fd79::50"),
}  # fmt: skip
LISTEN = {4: ("127.0.0.1", 9040), 6: ("::1", 9040)}
DEVICES = {"output": "wan0", "forward": "lan0"}
# What is counted besides the verdict on a first packet.
_ASIDE = {"new", "reply", "other_protocol", "untracked", "icmp"}
_IP_TRANSPARENT = 19  # <linux/in.h>; IPv6 sockets take it too
_numbers = itertools.count()
_ports = itertools.cycle(range(10_000, 60_000))


@dataclass(frozen=True)
class Probe:
    """``source`` is an index into SOURCES; user, mark and cgroup are those of the socket."""

    way: str = "output"
    kind: str = "tcp"
    to: str = "20.0.0.1"
    port: int = 80
    source: int = 0
    user: int = 0
    mark: int = 0
    cgroup: str = ""

    @property
    def version(self) -> int:
        return 6 if ":" in self.to else 4

    @property
    def source_address(self) -> str:
        return SOURCES[self.way, self.version][self.source]

    def socket(self, lab: Lab) -> socket.socket:
        """The client's socket, not connected yet."""
        namespace: Namespace | None = lab.host if self.way == "output" else lab.lan
        assert namespace is not None
        with cgroups.inside(self.cgroup):
            made = namespace.socket(FAMILIES[self.version], KINDS[self.kind])
        made.settimeout(PATIENCE)
        # UDP flows are known by their tuple: no two probes may share one.
        made.bind((self.source_address, next(_ports)))
        os.fchown(made.fileno(), self.user, -1)  # sockfs makes that the socket's user
        if self.mark:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, struct.pack("=I", self.mark))
        return made


class TransparentProxy:
    """The proxy's four sockets."""

    def __init__(self, lab: Lab) -> None:
        self._sockets = {
            (kind, version): _transparent(lab, kind, version)
            for kind in KINDS
            for version in FAMILIES
        }

    def accept(self, version: int = 4) -> socket.socket:
        """The proxy's end of a TCP connection that waits; BlockingIOError: none does."""
        made, _ = self._sockets["tcp", version].accept()
        made.settimeout(PATIENCE)
        return made

    def receive(self, version: int = 4) -> bytes:
        """The next datagram that waits; BlockingIOError: none does."""
        return self._sockets["udp", version].recv(100)

    def idle(self) -> bool:
        """Whether nothing waits."""
        for version in FAMILIES:
            for take in (self.accept, self.receive):
                try:
                    take(version)
                except BlockingIOError:
                    continue
                return False
        return True

    def close(self) -> None:
        for made in self._sockets.values():
            made.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _transparent(lab: Lab, kind: str, version: int) -> socket.socket:
    made = lab.host.socket(FAMILIES[version], KINDS[kind])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
    made.bind(LISTEN[version])
    if kind == "tcp":
        made.listen(4096)
    made.settimeout(0)
    return made


def taken(near: socket.socket, where: tuple[str, int], proxy: TransparentProxy) -> bool:
    """Whether the proxy gets a socket's first packet; if not, NET must refuse it."""
    version = 6 if near.family == socket.AF_INET6 else 4
    token = str(next(_numbers)).encode()
    try:
        near.connect(where)
        if near.type == socket.SOCK_DGRAM:
            near.send(token)
            near.settimeout(0)
            assert _soon(lambda: _heard(near) or proxy.receive(version)) == token
            return True
        with _soon(lambda: proxy.accept(version)) as far:
            assert far.getpeername()[:2] == near.getsockname()[:2]
            assert far.getsockname()[:2] == where
            reset(near)
            return True
    except ConnectionRefusedError:
        return False


def _heard(near: socket.socket) -> bytes:
    """What a datagram socket got, nothing as a rule; raises what it was refused with."""
    try:
        return near.recv(100)
    except BlockingIOError:
        return b""


def _soon(attempt: Callable[[], T]) -> T:
    """Nothing has to be waited for as a rule; another CPU may be busy with it."""
    for _ in range(1000):
        try:
            return attempt()
        except BlockingIOError:
            time.sleep(0.001)
    return attempt()


def outcome(on: support.Applied, probe: Probe, proxy: TransparentProxy) -> str:
    """What a first packet is counted as; and that what is so counted became of it."""
    device = DEVICES[probe.way]
    before = read_counters(on)
    with probe.socket(on.lab) as near:
        intercepted = taken(near, (probe.to, probe.port), proxy)
    added = read_counters(on) - before
    (found,) = {what for where, what in added if where == device} - _ASIDE
    assert intercepted == (found == "intercepted"), (probe, found)
    assert proxy.idle()
    return found


def marker(number: int) -> bytes:
    """Instructions of a tc program that puts a mark on every packet and passes it on."""
    store = struct.pack("=BBhi", 0x62, 0x1, 8, number)  # *(u32 *)(r1 + 8) = number: skb->mark
    return store + bytes.fromhex("b7000000ffffffff" + "9500000000000000")
