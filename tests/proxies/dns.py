"""A name server of one answer, and its question."""

from __future__ import annotations

import struct
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import socket

_HEADER = struct.Struct("!6H")  # RFC 1035, 4.1.1
_RESPONSE = 0x8180
_A_IN = struct.pack("!2H", 1, 1)
ADDRESS = bytes((192, 0, 2, 53))


def question(number: int) -> bytes:
    """Ask for the address of example.com."""
    return _HEADER.pack(number, 0x0100, 1, 0, 0, 0) + b"\x07example\x03com\x00" + _A_IN


def answer(asked: bytes) -> bytes:
    """Say 192.0.2.53."""
    number = _HEADER.unpack_from(asked)[0]
    record = b"\xc0\x0c" + _A_IN + struct.pack("!IH", 60, len(ADDRESS)) + ADDRESS
    return _HEADER.pack(number, _RESPONSE, 1, 1, 0, 0) + asked[_HEADER.size :] + record


class DnsServer:
    """Answers on a bound socket, and remembers who asked; a context manager."""

    def __init__(self, bound: socket.socket) -> None:
        self.peers: list[str] = []
        self._socket = bound
        self._socket.settimeout(0.05)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="dns", daemon=True)

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                asked, client = self._socket.recvfrom(1024)
            except TimeoutError:
                continue
            self.peers.append(client[0])
            self._socket.sendto(answer(asked), client)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)
        self._socket.close()
