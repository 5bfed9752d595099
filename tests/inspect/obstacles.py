"""An applied host with proxies of the test's own, and rules of others in the way."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.kernel.netlink.handle import Netlink
from netplan_tproxy.site.load import load
from tests.lab.host import Host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netplan_tproxy.inspect.doctor.finding import Finding

TRANSPARENT = {socket.AF_INET: (0, 19), socket.AF_INET6: (41, 75)}
STREAM, DGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM


class Stage(Host):
    """An applied host whose proxies are sockets of the test's own."""

    def found(self, examine: Callable[[Target], list[Finding]]) -> list[Finding]:
        with self.namespace.entered():
            netlink = Netlink()
            links = netlink.links()
            netlink.close()
            return examine(Target(load(self.site), links, privileged=True))

    @contextlib.contextmanager
    def proxies(self, *, transparent: bool = True) -> Iterator[list[socket.socket]]:
        with contextlib.ExitStack() as held:
            opened = []
            for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
                for kind in (STREAM, DGRAM):
                    one = held.enter_context(self.namespace.socket(family, kind))
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    one.setsockopt(*TRANSPARENT[family], int(transparent))
                    one.bind((address, 9040))
                    if kind == STREAM:
                        one.listen(64)
                    one.settimeout(0)
                    opened.append(one)
            yield opened


@contextlib.contextmanager
def nft(host: Stage, *lines: str) -> Iterator[None]:
    text = "\n".join(lines)
    ruleset = f"table inet others {{\nchain first {{\n{text}\n}}\n}}\n"
    host.namespace.run(["nft", "-f", "-"], stdin=ruleset)
    try:
        yield
    finally:
        host.namespace.run(["nft", "flush", "ruleset"])


def nobody_was_asked(proxies: list[socket.socket]) -> bool:
    for one in proxies:
        with contextlib.suppress(BlockingIOError):
            if one.type == STREAM:
                one.accept()[0].close()
            else:
                one.recv(100)
            return False
    return True
