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
    """Carries data, half-closes and resets both ways."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.source = Endpoint.of(client.getpeername())
        # The own address of a transparent accepted socket is the client's destination.
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
        """Connect to the target; ``named`` gets our own address before the next accept."""
        self._upstream = sockets.upstream(self.target.family, mark)
        done = sockets.start_connecting(self._upstream, self.target)
        named(Endpoint.of(self._upstream.getsockname()))
        if not done:
            loop = asyncio.get_running_loop()
            where = (self.target.address, self.target.port)
            # On Linux a second connect() waits for the first one and returns its result.
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
            # Neither call yields as long as there is data and room: let other tasks run.
            await asyncio.sleep(0)
        writer.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close both sides."""
        self.client.close()
        if self._upstream is not None:
            self._upstream.close()

    def abort(self) -> None:
        """Close both sides with an RST, unless they are closed."""
        sockets.reset(self.client)
        if self._upstream is not None:
            sockets.reset(self._upstream)
