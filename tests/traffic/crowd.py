"""Thousands of intercepted connections at once, held by a process for each kind.

    python -m tests.traffic.crowd NAMESPACE v4|v6 DEVICE COUNT

runs in HOST: it opens the proxy's listener, and COUNT connections from NAMESPACE through it;
then it does what it is told, a word a line, and answers with a number.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.lab import syscalls
from tests.lab.isolate import NETNS_DIR
from tests.lab.namespace import CURRENT
from tests.lab.patience import PATIENCE
from tests.paths import ROOT
from tests.traffic.sockets import listen
from tests.traffic.support import BEHIND, BOUND, UNBOUND, V4, V6, Applied, Family, Pair

ESTABLISHED = 1  # include/net/tcp_states.h
KINDS = [(sender, family) for family in (V4, V6) for sender in (UNBOUND, BOUND, BEHIND)]
_RESET = struct.pack("ii", 1, 0)
_PORTS = 20_000  # of the 28 000 that a client may use towards one destination


class Crowd:
    """The processes."""

    def __init__(self) -> None:
        self._children: list[subprocess.Popen[str]] = []

    def ask(self, word: str) -> int:
        """Tell all of them at once; the sum of their answers."""
        for child in self._children:
            assert child.stdin is not None
            child.stdin.write(word + "\n")
            child.stdin.flush()
        return sum(map(_answer, self._children))

    def add(self, child: subprocess.Popen[str]) -> int:
        self._children.append(child)
        return _answer(child)


def _answer(child: subprocess.Popen[str]) -> int:
    assert child.stdout is not None
    return int(child.stdout.readline())


@contextlib.contextmanager
def gathered(on: Applied, total: int) -> Iterator[Crowd]:
    """``total`` connections, as many of each kind; they end with the block."""
    made = Crowd()
    with contextlib.ExitStack() as stack:
        for sender, family in KINDS:
            words = [on.namespace(sender.role).name, "v4" if family is V4 else "v6"]
            words += [sender.device, str(total // len(KINDS))]
            program = [sys.executable, "-m", "tests.traffic.crowd", *words]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "cwd": ROOT}
            child = on.lab.host.popen(program, **pipes)
            stack.callback(_end, child)
            # One at a time: there is one listener.
            assert made.add(child) == total // len(KINDS)
        yield made


def _end(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.communicate(timeout=PATIENCE)


def _gather(namespace: str, family: Family, device: str, count: int) -> list[Pair]:
    found = []
    with Path(CURRENT).open() as here, (NETNS_DIR / namespace).open() as there:
        with listen(family) as proxy:
            syscalls.setns(there.fileno())
            for number in range(count):
                near = socket.socket(family.number)
                near.settimeout(PATIENCE)
                if device:
                    near.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
                near.connect((family.far, 80 + number // _PORTS))
                found.append(Pair(near, proxy.accept()[0]))
        syscalls.setns(here.fileno())
    return found


def _alive(pairs: list[Pair]) -> int:
    def state(end: socket.socket) -> int:
        return end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]

    return sum(state(near) == state(far) == ESTABLISHED for near, far in pairs)


def _answering(pairs: list[Pair]) -> int:
    """Through how many one byte goes there and back."""
    good = 0
    for near, far in pairs:
        near.send(b"?")
        heard = far.recv(1)
        far.send(b"!")
        good += (heard, near.recv(1)) == (b"?", b"!")
    return good


def _scatter(pairs: list[Pair]) -> int:
    """Reset them all: nothing lingers in TIME_WAIT."""
    for near, far in pairs:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        near.close()
        far.close()
    return len(pairs)


def main(namespace: str, family: str, device: str, count: str) -> None:
    pairs = _gather(namespace, V4 if family == "v4" else V6, device, int(count))
    sys.stdout.write(f"{len(pairs)}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        match line.strip():
            case "alive":
                result = _alive(pairs)
            case "some":
                result = _answering(pairs[::50])
            case "all":
                result = _answering(pairs)
            case _:
                result = _scatter(pairs)
        sys.stdout.write(f"{result}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
