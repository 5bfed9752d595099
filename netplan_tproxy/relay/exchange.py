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


class Refused(Exception):  # noqa: N818 - the relay's verdict on a datagram, not its own failure
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
        self._counts = {"out": 0, "in": 0, "dropped": 0}
        self._complaint = ""
        self.upstream = udpsockets.upstream(first.target, mark)
        try:
            self.ours = Endpoint.of(self.upstream.getsockname())
            if self.ours.address == first.target.address:
                raise Refused("it was sent to this host itself")
            self._answering: socket.socket = answers.hold(first.target)
        except BaseException:
            self.upstream.close()
            raise

    def __str__(self) -> str:
        return self._name

    @property
    def expects_answer(self) -> bool:
        """Whether the last word was the client's, and not too long ago."""
        return time.monotonic() - self._asked < _PATIENCE

    def ask(self, data: memoryview) -> None:
        """Pass one datagram on to the destination."""
        self.used = self._asked = time.monotonic()
        try:
            try:
                self.upstream.send(data)
            except ConnectionError as error:
                # That was the ICMP answer to an earlier one; this one has not been sent yet.
                self._complain(error)
                self.upstream.send(data)
        except OSError as error:
            self._drop(error)
        else:
            self._counts["out"] += 1

    def answer(self, buffer: bytearray) -> None:
        """Pass on what the destination sent, a batch at most."""
        view = memoryview(buffer)
        for _ in range(_BATCH):
            try:
                size = self.upstream.recv_into(buffer)
            except BlockingIOError:
                return
            except OSError as error:
                self._asked = 0.0
                self._complain(error)
                continue
            self.used = time.monotonic()
            self._asked = 0.0
            try:
                self._answering.sendto(view[:size], self.client)
            except OSError as error:
                self._drop(error)
            else:
                self._counts["in"] += 1

    def _drop(self, error: OSError) -> None:
        self._counts["dropped"] += 1
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
        counts = self._counts
        took = time.monotonic() - self._started
        dropped = f", {counts['dropped']} dropped" if counts["dropped"] else ""
        self._detail(
            f"{self}: {counts['out']} out, {counts['in']} in{dropped}, {took:.2f} s, {why}"
        )
