"""One recipe at work in a lab: its daemon in HOST, its site applied, servers in NET."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from netplan_tproxy.cli import main as cli
from netplan_tproxy.site.load import load
from tests.lab import HttpServer, Lab, Namespace, Packet
from tests.lab.datagrams import DatagramServer, dns_answer
from tests.lab.needed import need_shared_ports
from tests.lab.patience import CURL, PATIENCE
from tests.proxies.recipes import SERVERS, SHADOWSOCKS_SERVER, SHARING, Recipe
from tests.traffic.support import introduce

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLIENTS = {"plain": ("host", ""), "bound": ("host", "wan0"), "lan": ("lan", "")}
"""Clients of this host, of this host and bound to the uplink, and behind this host."""


class Answer(NamedTuple):
    """What a client got, and the port it had."""

    body: str
    port: int


class Stage:
    """Starts and stops a recipe's daemon, applies its site file, and is its clients."""

    def __init__(self, lab: Lab, recipe: Recipe, folder: Path) -> None:
        self.lab = lab
        self.recipe = recipe
        self._folder = folder
        self._log = folder / "output"
        self._site = load(recipe.site)
        self._daemon: subprocess.Popen[str] | None = None

    def tproxy_apply(self, *arguments: str) -> None:
        with self.lab.host.entered():
            assert cli.main(list(arguments)) == 0

    def apply(self) -> None:
        self.tproxy_apply(str(self.recipe.site))

    def start(self) -> None:
        """Start the daemon and wait until it listens wherever the site file says."""
        command = self.recipe.command
        if self.recipe.log_directory:
            shutil.chown(self._folder, self.recipe.user)
            script = 'mount --bind "$0" "$1" && shift && exec "$@"'
            words = ("sh", "-c", script, str(self._folder), self.recipe.log_directory)
            command = ("unshare", "--mount", *words, *command)
        with self._log.open("a") as log:
            self._daemon = self.lab.host.popen(command, stdout=log, stderr=log)
        proxy = self._site.proxy
        tcp = {str(listener) for listener in (proxy.tcp, proxy.tcp6) if listener}
        udp = {str(listener) for listener in (proxy.udp, proxy.udp6) if listener}
        host = self.lab.host
        self.until(lambda: bound(host, "-t") >= tcp and bound(host, "-u") >= udp, "listens")

    def stop(self) -> None:
        """End the daemon as systemd does, and wait for its last process."""
        assert self._daemon is not None
        self._daemon.terminate()
        self._daemon.wait(PATIENCE)
        self.until(lambda: not bound(self.lab.host, "-t"), "has ended")

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait for something; fail with all that the daemon wrote if it does not come."""
        deadline = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {PATIENCE} s: {what}\n{self.log()}")
            time.sleep(0.02)

    def log(self) -> str:
        """All that the daemon has written."""
        files = sorted(path for path in self._folder.iterdir() if path.is_file())
        return "".join(path.read_text(errors="replace") for path in files)

    def wait_for_log(self, client: tuple[str, int], wanted: tuple[str, int]) -> None:
        """Wait until the daemon tells that it has served a client."""
        line = re.compile(self.recipe.log.format(client=_either(*client), wanted=_either(*wanted)))
        self.until(lambda: line.search(self.log()) is not None, f"tells {line.pattern!r}")

    def namespace(self, client: str) -> Namespace:
        where, _ = CLIENTS[client]
        found = self.lab.host if where == "host" else self.lab.lan
        assert found is not None
        return found

    def curl(self, client: str, version: int) -> subprocess.CompletedProcess[str]:
        """Fetch a page; the client's port goes to stderr."""
        url = f"http://{bracketed(SERVERS[version])}/"
        words = [*CURL, "--write-out", "%{stderr}%{local_port}", url]
        _, device = CLIENTS[client]
        if device:
            words += ["--interface", device]
        return self.namespace(client).run(words, check=False)

    def fetch(self, client: str, version: int) -> Answer:
        done = self.curl(client, version)
        if done.returncode:
            raise AssertionError(f"{done.stderr}\n{self.log()}")
        return Answer(done.stdout, int(done.stderr))

    @contextlib.contextmanager
    def udp(self, client: str, version: int) -> Iterator[socket.socket]:
        """A client's socket, not connected; times out after 5 s."""
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        made = self.namespace(client).socket(family, socket.SOCK_DGRAM)
        with made:
            made.settimeout(PATIENCE)
            _, device = CLIENTS[client]
            if device:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            yield made


def bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _either(address: str, port: int) -> str:
    """A pattern of both, as some write IPv6 addresses with brackets and some without."""
    return rf"\[?{re.escape(address)}\]?:{port}"


def bound(namespace: Namespace, which: str) -> set[str]:
    """The addresses with ports that somebody listens on; ``which`` is -t or -u."""
    lines = namespace.run(["ss", "-Hln", which]).stdout.splitlines()
    return {line.split()[3] for line in lines}


def of_client(packets: list[Packet], proto: str, end: tuple[str, int]) -> list[Packet]:
    """The packets from or to a client itself."""
    return [p for p in packets if p.proto == proto and end in {(p.src, p.sport), (p.dst, p.dport)}]


@contextlib.contextmanager
def staged(recipe: Recipe, folder: Path) -> Iterator[Stage]:
    """The recipe's daemon running, its site applied, and an internet that answers."""
    if recipe.name in SHARING:
        need_shared_ports()
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(Lab(lan=True, ipv6=True))
        lab.net.run(["ip", "address", "add", SHADOWSOCKS_SERVER, "dev", "lo"])
        introduce(lab)
        for version, address in SERVERS.items():
            stack.enter_context(HttpServer(lab.net, address))
            family = socket.AF_INET if version == 4 else socket.AF_INET6
            answering = lab.net.socket(family, socket.SOCK_DGRAM)
            answering.bind((address, 53))
            stack.enter_context(DatagramServer(answering, dns_answer))
        made = Stage(lab, recipe, folder)
        if recipe.server:
            lab.net.popen(recipe.server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            where = f"{SHADOWSOCKS_SERVER}:8388"
            made.until(lambda: where in bound(lab.net, "-t"), "the server listens")
        made.start()
        made.apply()
        yield made
        made.stop()
