"""A newer package is installed over the one that runs, while connections are open: none ends."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.demo.demo import SITE
from tests.demo.stage import Failed, RelayLog, Stage
from tests.lab import Lab, diff_snapshots, isolate, snapshot
from tests.lab.patience import LONG, PATIENCE
from tests.lab.servers import EchoServer
from tests.lab.streams import read_exactly

_CONNECTIONS = 8
_PORT = 7007
_TALK = b"as before" * 500


def main(package: str) -> int:
    """Install ``package`` over the one that is installed; 0 if every claim held."""
    isolate.start_over()
    try:
        with tempfile.TemporaryDirectory() as folder, Lab() as lab:
            with EchoServer(lab.net, "1.1.1.1", _PORT) as far:
                stage = Stage(lab.host, Path(folder))
                tell(stage, lab, far, Path(folder), package)
    except Failed as error:
        print(f"\nFAILED: {error}", file=sys.stderr)
        return 1
    print(f"\nall {stage.held} claims held")
    return 0


def tell(stage: Stage, lab: Lab, far: EchoServer, folder: Path, package: str) -> None:
    """The story."""
    before = snapshot(lab.host)
    (folder / "site.yaml").write_text(SITE)
    log = RelayLog(folder / "relay.log")
    with (folder / "relay.log").open("w") as out:
        words = "tproxy-relay -v --listen 127.0.0.1:9040 --mark 0x2"
        relay = lab.host.popen(words.split(), stderr=out)
    log.wait_until_ready()
    done = stage.command("tproxy-apply site.yaml")
    stage.claim("it is applied", holds=done.returncode == 0)
    clients = [_client(lab, bound=bool(number % 2)) for number in range(_CONNECTIONS)]
    stage.claim("connections carry bytes", holds=_all_talk(clients))
    ports = {client.getsockname()[1] for client in clients}
    came = {port for _, port in far.peers}
    stage.claim("by way of the relay", holds=len(came) == _CONNECTIONS and not came & ports)

    version, programs = _version(), _programs(lab)
    with _talking(clients) as silent:
        stage.show(f"$ dpkg -i {Path(package).name}")
        install = ["dpkg", "-i", package]
        said = subprocess.run(install, capture_output=True, text=True, check=False, timeout=LONG)
        stage.show(said.stdout + said.stderr)
        newer = said.returncode == 0 and _version() != version
        stage.claim("the newer version is installed", holds=newer)
        done = stage.command("tproxy-apply site.yaml")
        stage.claim("the newer version is applied", holds=done.returncode == 0)
        stage.claim("its programs have replaced the older", holds=not programs & _programs(lab))
    stage.claim("meanwhile each connection carried bytes", holds=not silent)
    stage.claim("and does so now", holds=_all_talk(clients))
    stage.claim("no new connection was made for them", holds=len(far.peers) == _CONNECTIONS)
    again = stage.command("tproxy-apply site.yaml")
    stage.claim("a second run has nothing to do", holds="no changes" in again.stdout)

    for client in clients:
        client.close()
    relay.terminate()
    relay.wait(PATIENCE)
    gone = stage.command("tproxy-apply --destroy")
    left = diff_snapshots(before, snapshot(lab.host))
    stage.claim("nothing is left", holds=gone.returncode == 0 and not left, why=left)


def _client(lab: Lab, *, bound: bool) -> socket.socket:
    client = lab.host.socket(socket.AF_INET)
    if bound:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"wan0")
    client.settimeout(PATIENCE)
    client.connect(("1.1.1.1", _PORT))
    return client


@contextlib.contextmanager
def _talking(clients: list[socket.socket]) -> Iterator[list[bool]]:
    """Let them talk in turn, in a thread, all the while; what comes grows if one can't."""
    silent: list[bool] = []
    over = threading.Event()

    def talk() -> None:
        while not over.wait(0.01) and not silent:
            if not _all_talk(clients):
                silent.append(True)

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield silent
    finally:
        over.set()
        thread.join()


def _all_talk(clients: list[socket.socket]) -> bool:
    for client in clients:
        try:
            client.sendall(_TALK)
            if read_exactly(client, len(_TALK)) != _TALK:
                return False
        except OSError:
            return False
    return True


def _programs(lab: Lab) -> set[str]:
    """The names of the programs at wan0 and lo: they end in a digest of the source."""
    lines = [
        line
        for device in ("wan0", "lo")
        for hook in ("ingress", "egress")
        for line in lab.host.run(["tc", "filter", "show", "dev", device, hook]).stdout.splitlines()
    ]
    return {word for line in lines for word in line.split() if "@" in word}


def _version() -> str:
    words = ["dpkg-query", "-W", "-f", "${Version}", "netplan-tproxy"]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=LONG).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
