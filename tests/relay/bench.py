"""A relay in HOST that gets all TCP and UDP of the LAN, and sockets on both far sides of it."""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.lab import Lab
from tests.lab.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab import Namespace

PYTHON = sys.executable
RULES = """
table inet lab {
  chain steer {
    type filter hook prerouting priority mangle
    iifname != lan0 accept
    meta nfproto ipv4 meta l4proto { tcp, udp } tproxy ip to 127.0.0.1:9040 meta mark set 1
    meta nfproto ipv6 meta l4proto { tcp, udp } tproxy ip6 to [::1]:9040 meta mark set 1
  }
}
"""


@dataclass
class Running:
    """A relay process and what it has said so far."""

    process: subprocess.Popen[str]
    said: str = ""

    def wait_for_line(self, pattern: str, timeout: float = PATIENCE) -> str:
        """The first line, old or new, that the pattern is found in."""
        assert self.process.stderr is not None
        # Read around the text layer: what it has read ahead is hidden from select.
        pipe = self.process.stderr.fileno()
        deadline = time.monotonic() + timeout
        while True:
            for line in self.said.split("\n")[:-1]:
                if re.search(pattern, line):
                    return line
            left = max(0, deadline - time.monotonic())
            new = os.read(pipe, 65536) if select.select([pipe], [], [], left)[0] else b""
            if not new:
                raise AssertionError(f"nothing like {pattern!r} in {self.said!r}")
            self.said += new.decode()


def start(namespace: Namespace, *options: str) -> Running:
    """Start a relay, not waiting for it to be ready."""
    relay = [PYTHON, "-m", "netplan_tproxy.relay", *options]
    return Running(namespace.popen(relay, stderr=subprocess.PIPE))


def redirect(lab: Lab) -> None:
    """Hand everything that comes in from the LAN to the listener on port 9040."""
    lab.host.run(["nft", "-f", "-"], stdin=RULES)
    for family, everything in (("-4", "0.0.0.0/0"), ("-6", "::/0")):
        lab.host.run(["ip", family, "rule", "add", "fwmark", "1", "table", "100"])
        route = ["route", "add", "local", everything, "dev", "lo", "table", "100"]
        lab.host.run(["ip", family, *route])


@contextlib.contextmanager
def relayed(*options: str, ipv6: bool = False) -> Iterator[tuple[Lab, Running]]:
    """A LAN lab whose host relays; stopped with the lab."""
    with Lab(lan=True, ipv6=ipv6) as lab:
        redirect(lab)
        listen = ["--listen", "127.0.0.1:9040", *(["--listen", "[::1]:9040"] if ipv6 else [])]
        relay = start(lab.host, *listen, "-v", *options)
        relay.wait_for_line("listening on")
        yield lab, relay


def server(lab: Lab, address: str = "1.1.1.1", port: int = 5000) -> socket.socket:
    """A listener in NET."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = lab.net.socket(family)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, port))
    made.listen(16)
    return made


def client(
    lab: Lab, address: str = "1.1.1.1", port: int = 5000, *, origin: Namespace | None = None
) -> socket.socket:
    """A connection from the LAN, or from ``origin``."""
    near = origin or lab.lan
    assert near is not None
    made = near.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        made.connect((address, port))
    except BaseException:
        made.close()
        raise
    return made


def first_byte(
    lab: Lab, address: str = "1.1.1.1", port: int = 5000, *, origin: Namespace | None = None
) -> bytes:
    """What a new connection hears first: a quick reset may come while it still connects."""
    with client(lab, address, port, origin=origin) as near:
        return near.recv(1)
