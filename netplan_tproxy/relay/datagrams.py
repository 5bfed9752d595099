"""Receives datagrams, sorts them by client and destination, and bounds how many pairs there are."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from netplan_tproxy.relay import udpsockets
from netplan_tproxy.relay.answers import Answers
from netplan_tproxy.relay.exchange import Exchange, Refused
from netplan_tproxy.relay.options import Endpoint

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from netplan_tproxy.relay.options import Options
    from netplan_tproxy.relay.udpsockets import Arrival

_NO_FILES = {errno.EMFILE, errno.ENFILE}
_BATCH = 32
_LAST_BATCHES = 32
_MOST_ENDED_AT_ONCE = 256
_LOOK_AGAIN = 0.02
_MUTE = 1.0

_Key = tuple[tuple[Any, ...], Endpoint]


class Datagrams:
    """The datagram side of a relay."""

    def __init__(self, options: Options, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self._buffer = bytearray(udpsockets.MOST)
        self._answers = Answers(options.mark)
        self._ours: set[Endpoint] = set()
        self._exchanges: OrderedDict[_Key, Exchange] = OrderedDict()  # least recently used first
        self._timer: asyncio.TimerHandle | None = None
        self._mute_until = 0.0
        self._unsaid = 0
        self._listeners: list[socket.socket] = []
        try:
            self._listeners.extend(udpsockets.listener(where) for where in options.listen_udp)
        except BaseException:
            self.close_listeners()
            raise
        self.where = tuple(Endpoint.of(made.getsockname()) for made in self._listeners)

    def close_listeners(self) -> None:
        """Close them; twice is once."""
        for made in self._listeners:
            made.close()
        self._listeners.clear()

    def start(self) -> None:
        """Begin to receive, on the running loop."""
        loop = asyncio.get_running_loop()
        for made in self._listeners:
            loop.add_reader(made, self._take, made)

    def stop(self) -> None:
        """Carry what has arrived, and receive no more."""
        loop = asyncio.get_running_loop()
        for made in self._listeners:
            loop.remove_reader(made)
            for _ in range(_LAST_BATCHES):
                if not self._take(made):
                    break
        self.close_listeners()

    async def drain(self, hurry: asyncio.Event) -> None:
        """Give answers that are on their way the time to arrive; then end."""
        deadline = time.monotonic() + self._options.drain_seconds
        waiting = self._unanswered()
        if waiting and self._options.drain_seconds:
            self._say(f"waiting for {waiting} answers to datagrams")
        while waiting and time.monotonic() < deadline and not hurry.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(hurry.wait(), _LOOK_AGAIN)
            waiting = self._unanswered()
        if self._timer is not None:
            self._timer.cancel()
        for key in list(self._exchanges):
            self._end(key, "the relay ended")

    def _unanswered(self) -> int:
        return sum(exchange.expects_answer for exchange in self._exchanges.values())

    def _take(self, made: socket.socket) -> bool:
        """Carry a batch; whether there may be more."""
        view = memoryview(self._buffer)
        for _ in range(_BATCH):
            try:
                arrival = udpsockets.receive(made, self._buffer)
            except BlockingIOError:
                return False
            except OSError as error:
                self._warn(f"cannot receive: {(error.strerror or str(error)).lower()}")
                return False
            exchange = self._find(arrival) if arrival is not None else None
            if arrival is not None and exchange is not None:
                exchange.ask(view[: arrival.size])
        return True

    def _find(self, arrival: Arrival) -> Exchange | None:
        key = (arrival.client, arrival.target)
        exchange = self._exchanges.get(key)
        if exchange is not None:
            self._exchanges.move_to_end(key)
            return exchange
        try:
            self._check(arrival)
            return self._begin(key, arrival)
        except Refused as refused:
            self._warn(f"{arrival.source} > {arrival.target} udp: refused: {refused}")
        except OSError as error:
            words = (error.strerror or str(error)).lower()
            self._warn(f"{arrival.source} > {arrival.target} udp: {words}")
        return None

    def _check(self, arrival: Arrival) -> None:
        source, target = arrival.source, arrival.target
        if source in self._ours:
            raise Refused("it is the relay's own datagram, its mark is not bypassed")
        if target in self.where:
            raise Refused("it was sent to the relay itself, not redirected to it")
        if ((target.address, target.port, *arrival.client[2:]), source) in self._exchanges:
            raise Refused("it is the relay's own answer, its mark is not bypassed")
        if not source.port or source.is_wildcard:
            raise Refused("nobody could be answered")
        if not target.is_one_host or not target.port:
            raise Refused("it was not sent to one far host")

    def _begin(self, key: _Key, arrival: Arrival) -> Exchange:
        while len(self._exchanges) >= self._options.max_udp_flows:
            self._end_oldest("made room")
        try:
            exchange = self._open(arrival)
        except OSError as error:
            if error.errno not in _NO_FILES or not self._exchanges:
                raise
            self._end_oldest("made room: " + (error.strerror or "").lower())
            exchange = self._open(arrival)
        self._exchanges[key] = exchange
        self._ours.add(exchange.ours)
        asyncio.get_running_loop().add_reader(exchange.upstream, self._hear, key)
        self._set_timer()
        return exchange

    def _open(self, arrival: Arrival) -> Exchange:
        return Exchange(arrival, self._answers, self._options.mark, self._detail)

    def _hear(self, key: _Key) -> None:
        exchange = self._exchanges[key]
        exchange.answer(self._buffer)
        self._exchanges.move_to_end(key)

    def _end_oldest(self, why: str) -> None:
        self._end(next(iter(self._exchanges)), why)

    def _end(self, key: _Key, why: str) -> None:
        exchange = self._exchanges.pop(key)
        self._ours.discard(exchange.ours)
        asyncio.get_running_loop().remove_reader(exchange.upstream)
        exchange.close(why)

    def _set_timer(self) -> None:
        if self._timer is not None or not self._exchanges:
            return
        oldest = next(iter(self._exchanges.values()))
        left = oldest.used + self._options.udp_idle - time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(max(left, _LOOK_AGAIN), self._expire)

    def _expire(self) -> None:
        self._timer = None
        before = time.monotonic() - self._options.udp_idle
        for _ in range(_MOST_ENDED_AT_ONCE):
            oldest = next(iter(self._exchanges.values()), None)
            if oldest is None or oldest.used > before:
                break
            self._end_oldest("idle")
        self._set_timer()

    def _detail(self, line: str) -> None:
        if self._options.verbose:
            self._say(line)

    def _warn(self, line: str) -> None:
        """Say it, but not for each datagram of a flood."""
        now = time.monotonic()
        if now < self._mute_until:
            self._unsaid += 1
            return
        self._mute_until = now + _MUTE
        more = f" (and {self._unsaid} more like it)" if self._unsaid else ""
        self._unsaid = 0
        self._say(line + more)
