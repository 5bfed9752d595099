"""Servers of datagrams, and a question for a name server."""

from __future__ import annotations

import struct
import threading
from typing import TYPE_CHECKING, NamedTuple, Self

from tests.lab.patience import PATIENCE

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

_HEADER = struct.Struct("!6H")  # RFC 1035, 4.1.1
_RESPONSE = 0x8180
_A_IN = struct.pack("!2H", 1, 1)
ADDRESS = bytes((192, 0, 2, 53))


def dns_question(number: int) -> bytes:
    """Ask for the address of example.com."""
    return _HEADER.pack(number, 0x0100, 1, 0, 0, 0) + b"\x07example\x03com\x00" + _A_IN


def dns_answer(asked: bytes) -> bytes:
    """Say 192.0.2.53, as a name server does."""
    number = _HEADER.unpack_from(asked)[0]
    record = b"\xc0\x0c" + _A_IN + struct.pack("!IH", 60, len(ADDRESS)) + ADDRESS
    return _HEADER.pack(number, _RESPONSE, 1, 1, 0, 0) + asked[_HEADER.size :] + record


class Heard(NamedTuple):
    """One datagram at a server and where it came from."""

    data: bytes
    peer: tuple[str, int]


class DatagramServer:
    """Answers each datagram on a bound socket with ``reply(data)`` and remembers them."""

    def __init__(self, bound: socket.socket, reply: Callable[[bytes], bytes] = bytes) -> None:
        self.heard: list[Heard] = []
        self._reply = reply
        self._bound = bound
        self._bound.settimeout(0.02)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="datagrams", daemon=True)

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
        self._thread.join(PATIENCE)
        self._bound.close()
