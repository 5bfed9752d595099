"""One kind of client, again and again until its standard input ends.

It prints a line of JSON for each operation that failed, and one with the numbers at the end.
Times are those of CLOCK_MONOTONIC, which all processes share.
"""

from __future__ import annotations

import json
import random
import select
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

TCP_PORT, UDP_PORT = 7, 53
_RESEND = 1.0
# Below net.ipv4.ip_local_port_range; to an IPv6 wildcard those of IPv4 are taken.
_OWN_PORTS = {socket.AF_INET: range(10_000, 21_000), socket.AF_INET6: range(21_000, 32_000)}
_BULK = 200_000


class WrongError(Exception):
    """What came back is not what was sent."""


@dataclass
class Client:
    """Where it talks to, the device it is bound to, and for how long it waits for an answer."""

    target: str
    device: str
    patience: float
    chance: random.Random
    taken: int = 0

    def opened(self, kind: socket.SocketKind) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.target else socket.AF_INET
        made = socket.socket(family, kind)
        made.settimeout(self.patience)
        if self.device:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self.device.encode())
        if self.device and kind == socket.SOCK_STREAM:
            self.take_own_port(made)
        return made

    def take_own_port(self, made: socket.socket) -> None:
        """Bind to another one than the kernel gives to those that are bound to no device.

        It minds no socket that is bound to one, and two with the same ends break each other
        (docs/datapath.md).
        """
        ports = _OWN_PORTS[made.family]
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("", ports[self.taken % len(ports)]))
        self.taken += 1

    def connected(self) -> socket.socket:
        made = self.opened(socket.SOCK_STREAM)
        try:
            made.connect((self.target, TCP_PORT))
        except BaseException:
            made.close()
            raise
        return made

    def short(self) -> None:
        """A message and its answer; the client ends it."""
        with self.connected() as near:
            echo(near, self.chance.randbytes(self.chance.randrange(1, 2000)))

    def dialogue(self) -> None:
        """Twenty of them on one connection."""
        with self.connected() as near:
            for _ in range(20):
                echo(near, self.chance.randbytes(self.chance.randrange(1, 2000)))

    def half_close(self) -> None:
        """All is said before anything is heard, and the far end ends it."""
        data = self.chance.randbytes(self.chance.randrange(1, 20_000))
        with self.connected() as near:
            near.sendall(data)
            near.shutdown(socket.SHUT_WR)
            parts = []
            while part := received(near, 65536):
                parts.append(part)
            if b"".join(parts) != data:
                raise WrongError(f"{sum(map(len, parts))} of {len(data)} bytes came back")

    def bulk(self) -> None:
        """More than the fast path takes at a time."""
        with self.connected() as near:
            for _ in range(2):
                echo(near, self.chance.randbytes(_BULK // 4))

    def reset(self) -> None:
        """The client breaks off."""
        with self.connected() as near:
            near.sendall(b"never answered")
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def datagrams(self) -> None:
        """Three questions, each asked again until it is answered."""
        with self.opened(socket.SOCK_DGRAM) as near:
            near.connect((self.target, UDP_PORT))
            for _ in range(3):
                self.ask(near, self.chance.randbytes(self.chance.randrange(8, 1200)))

    def ask(self, near: socket.socket, data: bytes) -> None:
        """Send it until it comes back."""
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline:
            near.send(data)
            again = time.monotonic() + _RESEND
            while (left := again - time.monotonic()) > 0:
                if select.select([near], [], [], left)[0] and near.recv(2000) == data:
                    return
        raise TimeoutError("no answer")

    def operations(self) -> list[tuple[int, Callable[[], None]]]:
        """Each with how often it comes."""
        return [
            (6, self.short), (2, self.dialogue), (4, self.half_close), (1, self.bulk),
            (1, self.reset), (3, self.datagrams),
        ]  # fmt: skip


def received(near: socket.socket, size: int) -> bytes:
    """Read some; EAGAIN of a socket in the fast path is tried again (docs/fastpath.md)."""
    deadline = time.monotonic() + (near.gettimeout() or 0.0)
    while True:
        try:
            return near.recv(size)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise


def echo(near: socket.socket, data: bytes) -> None:
    """Send it and get it back."""
    near.sendall(data)
    came = bytearray()
    while len(came) < len(data):
        part = received(near, len(data) - len(came))
        if not part:
            raise WrongError(f"the end after {len(came)} of {len(data)} bytes")
        came += part
    if came != data:
        raise WrongError("other bytes came back")


def main(target: str, device: str, patience: str, pause: str, seed: str) -> None:
    """Run until the parent closes the pipe, with a ``pause`` behind each operation."""
    chance = random.Random(seed)  # noqa: S311 - test traffic
    client = Client(target, device, float(patience), chance)
    weights, operations = zip(*client.operations(), strict=True)
    done: Counter[str] = Counter()
    while not select.select([sys.stdin], [], [], float(pause))[0]:
        (operation,) = client.chance.choices(operations, weights)
        name, began = operation.__name__, time.monotonic()
        done[name] += 1
        try:
            operation()
        except (OSError, WrongError) as failure:
            what = f"{type(failure).__name__}: {failure}"
            line = {"what": what, "operation": name, "began": began, "ended": time.monotonic()}
            print(json.dumps(line), flush=True)
            time.sleep(0.05)
    print(json.dumps({"done": done}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
