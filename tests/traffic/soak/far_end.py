"""Servers that echo TCP and UDP, on the addresses that are given."""

from __future__ import annotations

import asyncio
import sys
from typing import cast

from tests.traffic.soak.client import TCP_PORT, UDP_PORT


class _Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # By its class in Python 3.11 it is another one.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(data, addr)


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()
    except OSError:
        writer.transport.abort()


async def _serve(addresses: list[str]) -> None:
    loop = asyncio.get_running_loop()
    for address in addresses:
        await asyncio.start_server(_echo, address, TCP_PORT, backlog=1024)
        await loop.create_datagram_endpoint(_Datagrams, local_addr=(address, UDP_PORT))
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1:]))
