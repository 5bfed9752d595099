"""The server: it accepts connections, limits their number, refuses loops, and drains."""

from __future__ import annotations

import asyncio
import errno
import signal
from typing import TYPE_CHECKING, Any

from netplan_tproxy.relay import sockets
from netplan_tproxy.relay.datagrams import Datagrams
from netplan_tproxy.relay.flow import Flow
from netplan_tproxy.relay.options import Endpoint

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from netplan_tproxy.relay.options import Options

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PAUSE = 0.1


class Relay:
    """One relay with its listeners; ``serve`` runs until a signal and a drain."""

    def __init__(self, options: Options, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        sockets.check_mark(options.mark)
        self._listeners: list[socket.socket] = []
        try:
            self._listeners.extend(sockets.listener(where) for where in options.listen)
            self._where = [Endpoint.of(listener.getsockname()) for listener in self._listeners]
            self._datagrams = Datagrams(options, self._where, say)
        except BaseException:
            self._close_listeners()
            raise
        self._flows: set[asyncio.Task[None]] = set()
        self._ours: set[Endpoint] = set()
        self._room = asyncio.Semaphore(options.max_connections)
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()

    def _on_signal(self) -> None:
        (self._hurry if self._stopping.is_set() else self._stopping).set()

    async def serve(self) -> None:
        """Relay until SIGTERM or SIGINT, then drain; a second signal ends the drain."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        accepting = [asyncio.create_task(self._accept(listener)) for listener in self._listeners]
        self._datagrams.start()
        self._say(f"listening on {', '.join(map(str, self._where))}")
        stop = asyncio.create_task(self._stopping.wait())
        try:
            # An accept loop ends only by an error that a retry does not fix.
            await asyncio.wait([stop, *accepting], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (stop, *accepting):
                task.cancel()
            ended = await asyncio.gather(*accepting, return_exceptions=True)
            self._close_listeners()
            self._datagrams.stop()
            await asyncio.gather(self._drain(), self._datagrams.drain(self._hurry))
        for error in ended:
            if isinstance(error, OSError):
                raise error

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            # Without room, clients wait in the kernel's queue.
            await self._room.acquire()
            try:
                client, _ = await loop.sock_accept(listener)
            except BaseException as error:
                self._room.release()
                if isinstance(error, ConnectionAbortedError):
                    continue
                if isinstance(error, OSError) and error.errno in _EXHAUSTED:
                    self._say(f"cannot accept for now: {(error.strerror or '').lower()}")
                    await asyncio.sleep(_PAUSE)
                    continue
                raise
            task = loop.create_task(self._handle(client))
            self._flows.add(task)
            task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._flows.discard(task)
        self._room.release()

    async def _handle(self, client: socket.socket) -> None:
        try:
            flow = Flow(client)
        except OSError:  # the client is gone already
            client.close()
            return
        mine: list[Endpoint] = []
        try:
            reason = self._loop_in(flow)
            if reason:
                self._say(f"{flow}: {reason}")
                return
            await flow.connect(self._options.mark, self._options.connect_timeout, self._note(mine))
            await flow.carry()
            self._detail(f"{flow}: {flow.tally}")
        except OSError as error:
            words = (error.strerror or "timed out").lower()
            self._detail(f"{flow}: {words}, {flow.tally}")
        except asyncio.CancelledError:
            self._detail(f"{flow}: cut off by the end of the relay, {flow.tally}")
        finally:
            flow.abort()
            self._ours.difference_update(mine)

    def _note(self, mine: list[Endpoint]) -> Callable[[Endpoint], None]:
        def note(name: Endpoint) -> None:
            mine.append(name)
            self._ours.add(name)

        return note

    def _loop_in(self, flow: Flow) -> str:
        """Return why relaying this connection would make a loop; "" if it would not."""
        if flow.source in self._ours:
            return "refused: it is the relay's own connection, its mark is not bypassed"
        for where in self._where:
            if flow.target == where or (
                where.is_wildcard
                and (flow.target.port, flow.target.family) == (where.port, where.family)
                and sockets.is_local(flow.target)
            ):
                return "refused: it was made to the relay itself, not redirected to it"
        return ""

    def _detail(self, line: str) -> None:
        if self._options.verbose:
            self._say(line)

    async def _drain(self) -> None:
        if not self._flows:
            return
        seconds = self._options.drain_seconds
        self._say(f"draining {len(self._flows)} connections for up to {seconds:g} s")
        hurry = asyncio.create_task(self._hurry.wait())
        flows = asyncio.gather(*self._flows, return_exceptions=True)
        waiting: list[asyncio.Future[Any]] = [hurry, flows]
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        for task in list(self._flows):
            task.cancel()
        await flows
