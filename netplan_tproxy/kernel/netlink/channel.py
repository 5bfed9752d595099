"""One netlink socket: a request and what the kernel answers, whole or not at all (netlink(7)).

A socket that failed once is closed: what it still holds belongs to a request that is given
up. The next request opens another one, so that an undo does not meet the error it undoes.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import socket
import time
from collections.abc import Iterator, Sequence

from netplan_tproxy.kernel.netlink.answer import HEADER, Reading, RefusedError, acknowledged

REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
REPLACE, EXCL, CREATE = 0x100, 0x200, 0x400

_SOL_NETLINK, _EXT_ACK, _STRICT_CHECK = 270, 11, 12
_BYTES = 1 << 17
_SECONDS = 10.0
# As many refusals fit into a receive buffer of the default size; others would be lost.
TOGETHER = 100
_MOST_TRIES = 60
_MOST_LOST = 3
_LONGEST_PAUSE = 0.1


class UnsteadyError(OSError):
    """What was to be read changed each time while it was read."""

    def __init__(self) -> None:
        super().__init__(
            errno.EAGAIN, f"it changed while it was read, {_MOST_TRIES} times in a row"
        )


class Channel:
    """Requests of one thread, one at a time, in the network namespace of the first."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._numbers = itertools.count(1)

    def close(self) -> None:
        """Close the socket; twice is fine."""
        opened, self._socket = self._socket, None
        if opened is not None:
            with contextlib.suppress(OSError):
                opened.close()

    def change(self, kind: int, body: bytes, flags: int = 0) -> None:
        """Ask for a change and wait until it is made.

        Raises RefusedError, or another OSError: then nobody knows whether it is made.
        """
        self._ask(kind, REQUEST | ACK | flags, body)

    def change_all(self, changes: Sequence[tuple[int, bytes, int]]) -> dict[int, RefusedError]:
        """Ask for many changes (kind, body, flags), with few system calls.

        The kernel makes them in their order, and goes on after one that it refuses. Gives
        the refusals by the place of the change. Raises OSError when an answer is missing:
        then nobody knows which changes are made.
        """
        refusals: dict[int, RefusedError] = {}
        for first in range(0, len(changes), TOGETHER):
            answers = self._ask_all(changes[first : first + TOGETHER])
            refusals |= {first + place: refusal for place, refusal in answers.items()}
        return refusals

    def get(self, kind: int, body: bytes) -> bytes:
        """Ask for one object; give its message. Raises OSError (RefusedError: there is none)."""
        messages = self._ask(kind, REQUEST, body).messages
        if not messages:
            raise OSError(errno.EBADMSG, "the kernel's answer is empty")
        return messages[0]

    def dump(self, kind: int, body: bytes) -> Reading:
        """Read a list as it was at one time.

        One that changed while it was read is read again, and so is one that came too fast.
        Raises UnsteadyError when it never held still, else OSError.
        """
        lost = 0
        for _ in attempts():
            try:
                reading = self._ask(kind, REQUEST | DUMP, body)
            except OSError as failure:
                lost += 1
                if failure.errno != errno.ENOBUFS or lost > _MOST_LOST:
                    raise
                continue
            if not reading.interrupted:
                return reading
        raise UnsteadyError

    def any(self, kind: int, body: bytes) -> bool:
        """Whether a list holds anything: only its beginning is read. Raises OSError."""
        try:
            return bool(self._ask(kind, REQUEST | DUMP, body, whole=False).messages)
        finally:
            self.close()

    def _ask(self, kind: int, flags: int, body: bytes, *, whole: bool = True) -> Reading:
        number = next(self._numbers) & 0xFFFFFFFF
        header = HEADER.pack(HEADER.size + len(body), kind, flags, number, 0)
        try:
            opened = self._opened()
            opened.sendto(header + body, (0, 0))
            return _read(opened, number, whole=whole)
        except RefusedError:
            raise
        except BaseException:
            # An interrupt too: the rest of the answer would be taken for the next one's.
            self.close()
            raise

    def _ask_all(self, changes: Sequence[tuple[int, bytes, int]]) -> dict[int, RefusedError]:
        numbers = [next(self._numbers) & 0xFFFFFFFF for _ in changes]
        places = {number: place for place, number in enumerate(numbers)}
        messages = []
        for number, (kind, body, flags) in zip(numbers, changes, strict=True):
            # A refusal is always answered. That the last is carried out says that all others
            # are through.
            ack = ACK if number == numbers[-1] else 0
            size = HEADER.size + len(body)
            messages.append(HEADER.pack(size, kind, REQUEST | ack | flags, number, 0) + body)
            messages.append(bytes(-size % 4))
        refusals: dict[int, RefusedError] = {}
        try:
            opened = self._opened()
            opened.sendto(b"".join(messages), (0, 0))
            while True:
                for number, refusal in acknowledged(_received(opened)):
                    place = places.get(number)
                    if place is not None and refusal is not None:
                        refusals[place] = refusal
                    if number == numbers[-1]:
                        return refusals
        except BaseException:
            self.close()
            raise

    def _opened(self) -> socket.socket:
        if self._socket is None:
            self._socket = _open()
        return self._socket


def attempts() -> Iterator[int]:
    """Count the tries of a read, with pauses between them that grow to a tenth of a second."""
    for attempt in range(_MOST_TRIES):
        if attempt:
            time.sleep(min(0.0005 * 2 ** (attempt // 3), _LONGEST_PAUSE))
        yield attempt


def _open() -> socket.socket:
    opened = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    )
    try:
        opened.settimeout(_SECONDS)
        for option in (_EXT_ACK, _STRICT_CHECK):
            # Kernels before 4.12 and 4.20 know no such thing: refusals have no words then, and
            # a dump is of more than was asked for.
            with contextlib.suppress(OSError):
                opened.setsockopt(_SOL_NETLINK, option, 1)
    except BaseException:
        opened.close()
        raise
    return opened


def _read(opened: socket.socket, number: int, *, whole: bool) -> Reading:
    """Read the answer to request ``number``, or its beginning. Raises OSError."""
    reading = Reading()
    while True:
        if reading.take(_received(opened), number) or not whole:
            return reading


def _received(opened: socket.socket) -> bytes:
    data, _, flags, _ = opened.recvmsg(_BYTES)
    if flags & socket.MSG_TRUNC:
        raise OSError(errno.EMSGSIZE, "the kernel's answer is longer than 128 KiB")
    return data
