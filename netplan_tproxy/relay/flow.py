"""One relayed connection: client on one side, the original destination on the other."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

from netplan_tproxy.relay import sockets
from netplan_tproxy.relay.options import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 65536


class Flow:
    """Carries bytes, ends of stream and resets from each side to the other."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.source = Endpoint.of(client.getpeername())
        # With IP_TRANSPARENT the accepted socket's own name is where the client wanted to go.
        self.target = Endpoint.of(client.getsockname())
        self.sent = 0
        self.received = 0
        self._started = time.monotonic()
        self._upstream: socket.socket | None = None

    def __str__(self) -> str:
        return f"{self.source} > {self.target}"

    @property
    def tally(self) -> str:
        """Bytes and seconds so far."""
        took = time.monotonic() - self._started
        return f"{self.sent} bytes out, {self.received} bytes in, {took:.2f} s"

    async def connect(self, mark: int, patience: float, named: Callable[[Endpoint], None]) -> None:
        """Reach the target; ``named`` hears our own address before the next accept."""
        self._upstream = sockets.upstream(self.target.family, mark)
        done = sockets.start_connecting(self._upstream, self.target)
        named(Endpoint.of(self._upstream.getsockname()))
        if not done:
            loop = asyncio.get_running_loop()
            where = (self.target.address, self.target.port)
            # Linux: connect() again while connecting reports how the first one went.
            await asyncio.wait_for(loop.sock_connect(self._upstream, where), patience)

    async def carry(self) -> None:
        """Relay until both sides have ended; OSError if one of them broke off."""
        if self._upstream is None:
            raise RuntimeError("carry() before connect()")
        sockets.tune(self.client)
        tasks = [
            asyncio.create_task(self._pump(self.client, self._upstream)),
            asyncio.create_task(self._pump(self._upstream, self.client)),
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self.close()

    async def _pump(self, reader: socket.socket, writer: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(reader, _CHUNK):
            await loop.sock_sendall(writer, data)
            if reader is self.client:
                self.sent += len(data)
            else:
                self.received += len(data)
            # Neither call yields while data and room last: let the others have their turn.
            await asyncio.sleep(0)
        writer.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End both sides cleanly."""
        self.client.close()
        if self._upstream is not None:
            self._upstream.close()

    def abort(self) -> None:
        """End both sides with an RST; nothing happens to what is closed."""
        sockets.reset(self.client)
        if self._upstream is not None:
            sockets.reset(self._upstream)
