"""``make demo``: see a host become a transparent proxy and become itself again."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.demo.stage import Failed, RelayLog, Stage
from tests.lab import Capture, HttpServer, Lab, diff_snapshots, isolate, snapshot
from tests.lab.patience import PATIENCE

SITE = """\
version: 1
interfaces:
  wan0: {}
proxy: {port: 9040}
"""
CURL = "curl -sS --max-time 5 http://1.1.1.1/"
BOUND = "curl -sS --max-time 5 --interface wan0 http://1.1.1.1/"


def main() -> int:
    """Run the whole story; 0 if every claim in it held."""
    isolate.start_over()
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    try:
        with tempfile.TemporaryDirectory() as folder, Lab() as lab, HttpServer(lab.net) as internet:
            stage = Stage(lab.host, Path(folder))
            tell(stage, lab, internet, Path(folder))
    except Failed as error:
        print(f"\nFAILED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted: the namespaces are gone, and all that was in them", file=sys.stderr)
        return 130
    print(f"\nall {stage.held} claims held; the namespaces are gone")
    return 0


def tell(stage: Stage, lab: Lab, internet: HttpServer, folder: Path) -> None:
    """The story."""
    stage.title("a laboratory: HOST (10.77.0.2 on wan0), and an internet with http://1.1.1.1/")
    before = snapshot(lab.host)
    plain = stage.command(CURL)
    stage.claim("HOST reaches the internet", holds=plain.stdout.startswith("hello"))

    stage.title("a proxy on 127.0.0.1:9040 that nobody is sent to yet")
    log = RelayLog(folder / "relay.log")
    relay = "tproxy-relay -v --listen 127.0.0.1:9040 --mark 0x2"
    stage.show(f"$ {relay} &")
    with (folder / "relay.log").open("w") as out:
        process = lab.host.popen(relay.split(), stderr=out)
    log.wait_until_ready()

    stage.title("the smallest site file, and what it would do")
    (folder / "site.yaml").write_text(SITE)
    stage.show(SITE)
    dry = stage.command("tproxy-apply --dry-run site.yaml")
    touched = diff_snapshots(before, snapshot(lab.host))
    holds = dry.returncode == 0 and "to add" in dry.stdout and not touched
    stage.claim("--dry-run shows the plan and touches nothing", holds=holds, why=touched)

    stage.title("make it so")
    done = stage.command("tproxy-apply site.yaml")
    stage.claim("it is applied", holds=done.returncode == 0)
    for line in (BOUND, CURL):
        see_it_proxied(stage, lab, internet, log, line)

    stage.title("a second run has nothing to do")
    again = stage.command("tproxy-apply site.yaml")
    stage.claim("no changes", holds=again.returncode == 0 and "no changes" in again.stdout)
    check = stage.command("tproxy-apply --check site.yaml")
    stage.claim("--check agrees", holds=check.returncode == 0)

    stage.title("and away with it")
    gone = stage.command("tproxy-apply --destroy")
    stage.claim("it is taken down", holds=gone.returncode == 0)
    left = diff_snapshots(before, snapshot(lab.host))
    stage.claim(
        "the kernel is as it was: rules, routes, sysctls, qdiscs, filters, bpffs",
        holds=not left,
        why=left,
    )
    plain = stage.command(CURL)
    direct = plain.stdout.startswith("hello") and log.nothing_new()
    stage.claim("connections go out directly again", holds=direct)
    process.terminate()
    stage.claim("the relay ends cleanly", holds=_ended(process) == 0)


def _ended(process: subprocess.Popen[str]) -> int | None:
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        return None


def see_it_proxied(
    stage: Stage, lab: Lab, internet: HttpServer, log: RelayLog, command: str
) -> None:
    """Fetch a page, and prove from three sides that the relay fetched it."""
    how = "bound to wan0" if "--interface" in command else "not bound to anything"
    stage.title(f"a client that is {how}")
    internet.peers.clear()
    with Capture(lab.net, "isp0") as wire:
        done = stage.command(command)
        stage.claim("it gets its page", holds=done.stdout.startswith("hello"))
        seen = log.next_connection()
        stage.show(f"relay: {seen}")
        source, _, rest = seen.partition(" > ")
        target = rest.partition(": ")[0]
        holds = source.startswith("10.77.0.2:") and target == "1.1.1.1:80"
        stage.claim("the relay carried it, and knew where it was going", holds=holds)
        ports = {port for _, port in internet.peers}
        port = int(source.rpartition(":")[2])
        packets = wire.arrived("tcp")
        leaked = [str(packet) for packet in packets if packet.sport == port]
    stage.claim("the far end met one connection, the relay's", holds=len(ports) == 1)
    stage.claim(
        f"of {len(packets)} packets on the wire none is from the client's own connection",
        holds=bool(packets) and port not in ports and not leaked,
        why=leaked,
    )


if __name__ == "__main__":
    sys.exit(main())
