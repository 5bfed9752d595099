#!/usr/bin/env python3
"""The smallest useful transparent proxy: carries TCP to where its clients wanted to go."""

import asyncio
import ipaddress
import socket
import sys

PORT = 9040
BYPASS_MARK = 2  # marks.bypass in site.yaml
IP_TRANSPARENT = 19  # <linux/in.h>; for IPv6 sockets too

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def listener(address: str) -> socket.socket:
    """Listen where site.yaml says, ready to take connections meant for others."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.create_server((address, PORT), family=family, backlog=512)
    made.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
    return made


async def connect(family: int, address: str, port: int) -> Streams:
    """Open a connection that is left alone: unmarked, it would come back here."""
    if ipaddress.ip_address(address).is_loopback:
        raise ConnectionRefusedError("this proxy itself was called")
    upstream = socket.socket(family)
    upstream.settimeout(0)
    upstream.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, BYPASS_MARK)
    await asyncio.get_running_loop().sock_connect(upstream, (address, port))
    return await asyncio.open_connection(sock=upstream)


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Carry one direction, and its end."""
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()
    sink.write_eof()


async def carry(near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
    """Carry one connection; the socket's own address is where the client wanted to go."""
    client, wanted = (to_near.get_extra_info(end)[:2] for end in ("peername", "sockname"))
    ends = [to_near]
    try:
        far, to_far = await connect(to_near.get_extra_info("socket").family, *wanted)
        ends.append(to_far)
        sys.stderr.write("{}:{} -> {}:{}\n".format(*client, *wanted))
        await asyncio.gather(pump(near, to_far), pump(far, to_near))
    except OSError as error:
        sys.stderr.write(f"{client[0]}:{client[1]}: {error}\n")
    finally:
        for end in ends:
            end.close()


async def main() -> None:
    """Serve until killed."""
    servers = [await asyncio.start_server(carry, sock=listener(a)) for a in ("127.0.0.1", "::1")]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main())
