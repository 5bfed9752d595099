"""What tests do with one end of a TCP connection."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator

from tests.lab.patience import PATIENCE

# include/net/tcp_states.h
ESTABLISHED, FIN_WAIT_2, CLOSE = 1, 5, 7


def read_all(source: socket.socket) -> bytes:
    """Everything up to the end of the stream."""
    parts = []
    while part := source.recv(1 << 20):
        parts.append(part)
    return b"".join(parts)


def read_exactly(source: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer if the stream ends."""
    parts = []
    while size and (part := source.recv(min(size, 1 << 20))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def state(end: socket.socket) -> int:
    """The state that TCP has it in."""
    return end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def wait_for(wanted: int, end: socket.socket) -> None:
    """Wait until it is in that state: FIN_WAIT_2, its FIN is acknowledged; CLOSE, it is reset."""
    deadline = time.monotonic() + PATIENCE
    while state(end) != wanted:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def reset(end: socket.socket) -> None:
    """Close with an RST."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


def hears_nothing(server: socket.socket) -> bool:
    """Whether no connection waits at a listener."""
    server.settimeout(0.05)
    try:
        server.accept()[0].close()
    except TimeoutError:
        return True
    return False


@contextlib.contextmanager
def accepting(listener: socket.socket) -> Iterator[list[float]]:
    """Take what comes to a listener and close it, in a thread; when each came.

    Ends once nothing waits any more.
    """
    came: list[float] = []
    over = threading.Event()

    def accept() -> None:
        while True:
            try:
                listener.accept()[0].close()
            except TimeoutError:
                if over.is_set():
                    return
            else:
                came.append(time.monotonic())

    listener.settimeout(0.1)
    thread = threading.Thread(target=accept, name="accepting", daemon=True)
    thread.start()
    try:
        yield came
    finally:
        over.set()
        thread.join(PATIENCE)
