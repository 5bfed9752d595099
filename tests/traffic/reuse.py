"""A port of an intercepted client that somebody else uses next, while the proxy is in TIME_WAIT."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
from collections.abc import Callable, Iterator

from tests.lab import Namespace
from tests.lab.patience import PATIENCE, comes_true
from tests.traffic.support import BYPASS, UNBOUND, Applied, Family, Pair, Sender

NOBODY = 65534
_TCP_REPAIR = 19  # <linux/tcp.h>: whoever moves a connection elsewhere closes it so


def used_before(
    host: Applied, proxy: socket.socket, family: Family, port: int, sender: Sender = UNBOUND
) -> None:
    """Intercept a connection from ``port`` to the far end's 80 that the proxy ends first."""
    near = host.client(sender, family)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    near.bind(("", port))
    near.connect((family.far, 80))
    far, _ = proxy.accept()
    far.close()
    assert near.recv(1) == b""
    near.close()


def bypassed(
    host: Applied,
    family: Family,
    by: str,
    sender: Sender = UNBOUND,
    *,
    kind: socket.SocketKind = socket.SOCK_STREAM,
) -> socket.socket:
    """A socket that is bypassed by its ``mark`` or its ``user``, not connected yet."""
    made = host.client(sender, family, kind, mark=BYPASS if by == "mark" else 0)
    if by == "user":
        os.fchown(made.fileno(), NOBODY, -1)  # sockfs makes that the socket's user
    return made


@contextlib.contextmanager
def only_port(namespace: Namespace, port: int) -> Iterator[None]:
    """Let the kernel choose this port for whoever binds to none.

    A port that a socket is bound to by itself stays with it to its end; one that the kernel has
    chosen does not.
    """
    usual = namespace.sysctl("net.ipv4.ip_local_port_range")
    namespace.sysctl("net.ipv4.ip_local_port_range", f"{port} {port}")
    try:
        yield
    finally:
        namespace.sysctl("net.ipv4.ip_local_port_range", usual)


def connected(near: socket.socket, server: socket.socket, namespace: Namespace, port: int) -> Pair:
    """Connect to the far end's 80 from ``port``; both ends."""
    with only_port(namespace, port):
        near.connect(server.getsockname()[:2])
    assert near.getsockname()[1] == port
    far, peer = server.accept()
    far.settimeout(PATIENCE)
    assert peer[1] == port
    return Pair(near, far)


def linger_zero(pair: Pair) -> None:
    pair.near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    pair.near.close()


def data_unread(pair: Pair) -> None:
    pair.far.sendall(b"nobody reads this")
    assert pair.near.recv(1, socket.MSG_PEEK)
    pair.near.close()


def disconnect(end: socket.socket) -> None:
    """connect(2) to AF_UNSPEC, which Python's own does not know."""
    nowhere = struct.pack("=H14x", socket.AF_UNSPEC)
    assert ctypes.CDLL(None).connect(end.fileno(), nowhere, len(nowhere)) == 0


def disconnected(pair: Pair) -> None:
    disconnect(pair.near)
    pair.near.close()


RESETS: tuple[Callable[[Pair], None], ...] = (linger_zero, data_unread, disconnected)


def vanish(end: socket.socket) -> None:
    """Close without a word to the other end."""
    end.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
    end.close()


def vanish_near(pair: Pair) -> None:
    vanish(pair.near)


def close_near(pair: Pair) -> None:
    pair.near.close()


def is_reset(end: socket.socket) -> bool:
    """Whether the connection is reset, within the socket's timeout."""
    try:
        while end.recv(1 << 16):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return False


def states(namespace: Namespace, port: int) -> list[str]:
    """The states of the namespace's TCP sockets with this port, as ss(8) names them."""
    shown = namespace.run(["ss", "-Htan", f"( sport = :{port} or dport = :{port} )"]).stdout
    return [line.split()[0] for line in shown.splitlines()]


def gone(namespace: Namespace, port: int, timeout: float = PATIENCE) -> bool:
    """Whether no socket of the namespace has this port any more, but for a listener."""
    return comes_true(lambda: set(states(namespace, port)) <= {"LISTEN"}, timeout)


@contextlib.contextmanager
def losing(namespace: Namespace, what: str) -> Iterator[None]:
    """Drop what comes in and fits a rule of nft(8)."""
    chain = "{ type filter hook input priority 0; }"
    lines = (
        f"add table inet lost\nadd chain inet lost in {chain}\nadd rule inet lost in {what} drop\n"
    )
    namespace.run(["nft", "-f", "-"], stdin=lines)
    try:
        yield
    finally:
        namespace.run(["nft", "delete table inet lost"])
