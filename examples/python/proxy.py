"""The smallest useful transparent proxy: carries TCP to where its clients wanted to go."""

import asyncio
import ipaddress
import socket

PORT = 9040
BYPASS_MARK = 2  # marks.bypass in site.yaml
IP_TRANSPARENT = 19  # <linux/in.h>; for IPv6 sockets too


def listener(address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.create_server((address, PORT), family=family, backlog=512)
    made.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
    return made


async def connect(family: int, address: str, port: int) -> tuple:
    if ipaddress.ip_address(address).is_loopback:
        raise ConnectionRefusedError("called itself: not an intercepted connection")
    upstream = socket.socket(family)
    upstream.setblocking(False)
    upstream.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, BYPASS_MARK)
    await asyncio.get_running_loop().sock_connect(upstream, (address, port))
    return await asyncio.open_connection(sock=upstream)


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()
    sink.write_eof()


async def carry(near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
    client, port = to_near.get_extra_info("peername")[:2]
    # The socket's own address is the one that the client asked for.
    wanted = to_near.get_extra_info("sockname")[:2]
    print(f"{client} {port} -> {wanted[0]} {wanted[1]}", flush=True)
    to_far = None
    try:
        far, to_far = await connect(to_near.get_extra_info("socket").family, *wanted)
        await asyncio.gather(pump(near, to_far), pump(far, to_near))
    except OSError as error:
        print(f"{client} {port}: {error}", flush=True)
    finally:
        for end in (to_near, to_far):
            if end is not None:
                end.close()


async def main() -> None:
    servers = [await asyncio.start_server(carry, sock=listener(a)) for a in ("127.0.0.1", "::1")]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main())
