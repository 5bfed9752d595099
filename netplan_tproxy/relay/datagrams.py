"""Receives datagrams and hands each to the exchange of its client and its destination."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from netplan_tproxy.relay import udpsockets
from netplan_tproxy.relay.exchange import RefusedError
from netplan_tproxy.relay.notices import Notices
from netplan_tproxy.relay.pairs import Pairs

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from netplan_tproxy.relay.options import Endpoint, Options
    from netplan_tproxy.relay.udpsockets import Arrival

_BATCH = 32
_LAST_BATCHES = 32
_LOOK_AGAIN = 0.02


class Datagrams:
    """The datagram side of a relay; ``where`` are its addresses, the same as for TCP."""

    def __init__(
        self, options: Options, where: Sequence[Endpoint], say: Callable[[str], None]
    ) -> None:
        self._options = options
        self._say = say
        self._where = frozenset(where)
        self._buffer = bytearray(udpsockets.MOST)
        self._notices = Notices(say)
        self._pairs = Pairs(options, self._buffer, self._notices, self._detail)
        self._listeners: list[socket.socket] = []
        try:
            self._listeners.extend(udpsockets.listener(place) for place in where)
        except BaseException:
            self._close_listeners()
            raise

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    def start(self) -> None:
        """Begin to receive, on the running loop."""
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            loop.add_reader(listener, self._take, listener)

    def stop(self) -> None:
        """Carry what has arrived, then stop receiving."""
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            loop.remove_reader(listener)
            for _ in range(_LAST_BATCHES):
                if not self._take(listener):
                    break
        self._close_listeners()

    async def drain(self, hurry: asyncio.Event) -> None:
        """Wait for outstanding answers, up to the drain time, then close."""
        deadline = time.monotonic() + self._options.drain_seconds
        waiting = self._pairs.unanswered
        if waiting and self._options.drain_seconds:
            self._say(f"waiting for answers to datagrams of {waiting} pairs")
        while waiting and time.monotonic() < deadline and not hurry.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(hurry.wait(), _LOOK_AGAIN)
            waiting = self._pairs.unanswered
        self._pairs.close()
        self._notices.close()

    def _take(self, listener: socket.socket) -> bool:
        """Carry a batch; return whether there may be more."""
        for _ in range(_BATCH):
            try:
                arrival = udpsockets.receive(listener, self._buffer)
            except BlockingIOError:
                return False
            except OSError as error:
                words = (error.strerror or str(error)).lower()
                self._notices.tell("datagrams not received", f"cannot receive datagrams: {words}")
                return False
            if arrival is not None:
                self._carry(arrival)
        return True

    def _carry(self, arrival: Arrival) -> None:
        name = f"{arrival.source} > {arrival.target} udp"
        try:
            self._check(arrival)
            exchange = self._pairs.find(arrival)
        except RefusedError as refused:
            self._notices.tell("datagrams refused", f"{name}: refused: {refused}")
        except OSError as error:
            words = (error.strerror or str(error)).lower()
            self._notices.tell("datagrams dropped", f"{name}: {words}")
        else:
            exchange.ask(memoryview(self._buffer)[: arrival.size])

    def _check(self, arrival: Arrival) -> None:
        source, target = arrival.source, arrival.target
        if target in self._where:
            raise RefusedError("it was sent to the relay itself, not redirected to it")
        if not source.port or source.is_wildcard:
            raise RefusedError("nobody could be answered")
        if not target.is_one_host or not target.port:
            raise RefusedError("it was not sent to one far host")

    def _detail(self, line: str) -> None:
        if self._options.verbose:
            self._say(line)
