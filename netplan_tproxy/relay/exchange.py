"""The datagrams of one client and one destination."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from netplan_tproxy.relay import udpsockets
from netplan_tproxy.relay.options import Endpoint

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from netplan_tproxy.relay.answers import Answers
    from netplan_tproxy.relay.udpsockets import Arrival

_BATCH = 16
_PATIENCE = 2.0


class RefusedError(Exception):
    """This datagram is not carried; the message says why."""


class Exchange:
    """Carries datagrams both ways; what cannot be sent at once is dropped, as networks do."""

    def __init__(
        self, first: Arrival, answers: Answers, mark: int, detail: Callable[[str], None]
    ) -> None:
        self.client = first.client
        self.target = first.target
        self._name = f"{first.source} > {first.target} udp"
        self._detail = detail
        self._answers = answers
        self._started = self.used = time.monotonic()
        self._asked = 0.0
        self._owed = 0
        self._out = self._in = self._dropped = 0
        self._complaint = ""
        self.upstream = udpsockets.upstream(first.target, mark)
        try:
            self.ours = _name_of(self.upstream, first.target)
            self._answering: socket.socket = answers.hold(first.target)
        except BaseException:
            self.upstream.close()
            raise

    def __str__(self) -> str:
        return self._name

    @property
    def expects_answer(self) -> bool:
        """Whether a recent datagram to the destination has no answer yet."""
        return self._owed > 0 and time.monotonic() - self._asked < _PATIENCE

    def ask(self, data: memoryview) -> None:
        """Pass one datagram on to the destination."""
        self.used = self._asked = time.monotonic()
        try:
            self._send(data)
        except OSError as error:
            self._drop(error)
        else:
            self._out += 1
            self._owed += 1

    def _send(self, data: memoryview) -> None:
        try:
            self.upstream.send(data)
        except BlockingIOError:
            raise
        except OSError as error:
            # An ICMP error about an earlier datagram; this one has not been sent yet.
            self._owed = 0
            self._complain(error)
            self.upstream.send(data)

    def answer(self, buffer: bytearray) -> bool:
        """Pass on a batch of answers; return whether there was any."""
        view = memoryview(buffer)
        heard = False
        for _ in range(_BATCH):
            try:
                size = self.upstream.recv_into(buffer)
            except BlockingIOError:
                break
            except OSError as error:
                self._owed = 0  # one error may stand for several datagrams
                self._complain(error)
                continue
            heard = True
            self._pass_on(view[:size])
        return heard

    def _pass_on(self, data: memoryview) -> None:
        self.used = time.monotonic()
        self._owed = max(0, self._owed - 1)
        try:
            self._answering.sendto(data, self.client)
        except OSError as error:
            self._drop(error)
        else:
            self._in += 1

    def _drop(self, error: OSError) -> None:
        self._dropped += 1
        self._complain(error)

    def _complain(self, error: OSError) -> None:
        words = (error.strerror or str(error)).lower()
        if words != self._complaint:
            self._complaint = words
            self._detail(f"{self}: {words}")

    def close(self, why: str) -> None:
        """End it."""
        self.upstream.close()
        self._answers.release(self.target)
        took = time.monotonic() - self._started
        dropped = f", {self._dropped} dropped" if self._dropped else ""
        self._detail(f"{self}: {self._out} out, {self._in} in{dropped}, {took:.2f} s, {why}")


def _name_of(upstream: socket.socket, target: Endpoint) -> Endpoint:
    ours = Endpoint.of(upstream.getsockname())
    # What goes to one of this host's addresses comes from the same address.
    if ours.address == target.address:
        raise RefusedError("it was sent to this host itself")
    return ours
