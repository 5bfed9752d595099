"""The pairs of client and destination under way: bounded, and ended when idle."""

from __future__ import annotations

import asyncio
import errno
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from netplan_tproxy.relay.answers import Answers
from netplan_tproxy.relay.exchange import Exchange, RefusedError
from netplan_tproxy.relay.options import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from netplan_tproxy.relay.notices import Notices
    from netplan_tproxy.relay.options import Options
    from netplan_tproxy.relay.udpsockets import Arrival

# EAGAIN: every local port is in use (udp(7)).
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN}
_MOST_ENDED_AT_ONCE = 256
_SOON = 0.02

_Key = tuple[tuple[Any, ...], Endpoint]


class Pairs:
    """At most ``udp_max`` exchanges; a new one beyond that ends the one silent for longest."""

    def __init__(
        self,
        options: Options,
        buffer: bytearray,
        notices: Notices,
        detail: Callable[[str], None],
    ) -> None:
        self._options = options
        self._buffer = buffer
        self._notices = notices
        self._detail = detail
        self._answers = Answers(options.mark)
        self._ours: set[Endpoint] = set()
        self._open: OrderedDict[_Key, Exchange] = OrderedDict()  # silent for longest first
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    @property
    def unanswered(self) -> int:
        """The number of exchanges that wait for an answer."""
        return sum(exchange.expects_answer for exchange in self._open.values())

    def find(self, arrival: Arrival) -> Exchange:
        """Return the exchange of this client and destination, a new one if there is none.

        Raises RefusedError if it would come back to the relay, OSError if it can't be opened.
        """
        key = (arrival.client, arrival.target)
        exchange = self._open.get(key)
        if exchange is None:
            self._refuse_own(arrival)
            return self._begin(key, arrival)
        self._open.move_to_end(key)
        return exchange

    def _refuse_own(self, arrival: Arrival) -> None:
        source, target = arrival.source, arrival.target
        if source in self._ours:
            raise RefusedError("it is the relay's own datagram, its mark is not bypassed")
        if ((target.address, target.port, *arrival.client[2:]), source) in self._open:
            raise RefusedError("it is the relay's own answer, its mark is not bypassed")

    def _begin(self, key: _Key, arrival: Arrival) -> Exchange:
        if len(self._open) >= self._options.udp_max:
            self._make_room(f"{len(self._open)} are the most")
        try:
            exchange = self._make(arrival)
        except OSError as error:
            if error.errno not in _EXHAUSTED or not self._open:
                raise
            self._make_room((error.strerror or "").lower())
            exchange = self._make(arrival)
        self._open[key] = exchange
        self._ours.add(exchange.ours)
        asyncio.get_running_loop().add_reader(exchange.upstream, self._hear, key)
        self._set_timer()
        return exchange

    def _make(self, arrival: Arrival) -> Exchange:
        return Exchange(arrival, self._answers, self._options.mark, self._detail)

    def _make_room(self, why: str) -> None:
        kind = "udp pairs ended to make room"
        self._notices.tell(kind, f"{kind}: 1 ({why})")
        self._end_oldest("ended to make room")

    def _hear(self, key: _Key) -> None:
        if self._open[key].answer(self._buffer):
            self._open.move_to_end(key)

    def _end_oldest(self, why: str) -> None:
        self._end(next(iter(self._open)), why)

    def _end(self, key: _Key, why: str) -> None:
        exchange = self._open.pop(key)
        self._ours.discard(exchange.ours)
        asyncio.get_running_loop().remove_reader(exchange.upstream)
        exchange.close(why)

    def _set_timer(self) -> None:
        if self._timer is not None or not self._open:
            return
        oldest = next(iter(self._open.values()))
        left = oldest.used + self._options.udp_idle - time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(max(left, _SOON), self._expire)

    def _expire(self) -> None:
        self._timer = None
        before = time.monotonic() - self._options.udp_idle
        for _ in range(_MOST_ENDED_AT_ONCE):
            oldest = next(iter(self._open.values()), None)
            if oldest is None or oldest.used > before:
                break
            self._end_oldest("idle")
        self._set_timer()

    def close(self) -> None:
        """Close all exchanges."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for key in list(self._open):
            self._end(key, "the relay ended")
