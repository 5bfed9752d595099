"""wrk through a real proxy (HAProxy in HTTP mode), against nftables TPROXY; prints ratios.

    python -m tests.bench.proxy [--rounds N] [--seconds S] [--connections N]

Clients of this host (output) and behind it (forward), each with connections that are kept and
with one for every request. The proxy opens one of its own upstream for each of a client's. Both
sides are set up throughout; they take turns within a round, the first of one round being the
second of the next, and a ratio is taken within its round. Client and origin run on one CPU, the
proxy on another. Beside other work the CPU time for a request says more than the goals' numbers: it
is that of wrk, proxy and origin together, with what the kernel does in their name. Namespaces only;
needs root, haproxy and wrk.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.bench.paths import apply
from tests.lab import Lab, isolate
from tests.lab.patience import CURL, comes_true
from tests.lab.processes import inhabitants

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab import Namespace

USER = "haproxy"  # Debian's; what it sends is not intercepted
URL = "http://1.1.1.1/"
SITE = f"""\
version: 1
interfaces:
  wan0: {{intercept: output}}
  lan0: {{intercept: forward}}
proxy: {{port: 9040}}
bypass: {{users: [{USER}]}}
"""
NFTABLES = f"""
table ip bench {{
  chain output {{
    type route hook output priority mangle
    meta skuid != {USER} oifname wan0 meta l4proto tcp mark set 1
  }}
  chain input {{
    type filter hook prerouting priority mangle
    meta mark 1 meta l4proto tcp tproxy to 127.0.0.1:9040 accept
    iifname lan0 ip daddr != 10.79.0.1 meta l4proto tcp tproxy to 127.0.0.1:9040 mark set 1 accept
  }}
}}
"""
COMMON = """
global
    user haproxy
    nbthread 1
    maxconn 2000
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
"""
PROXY = f"""{COMMON}
listen intercepted
    bind 127.0.0.1:9040 transparent
    http-reuse never
    http-response set-header via proxy
    server destination *
"""
ORIGIN = f"""{COMMON}
frontend origin
    bind 1.1.1.1:80
    http-request return status 200 content-type text/plain string "hello from the internet"
"""
DONE = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
"""
LEAST_RATE, MOST_P99 = 0.98, 1.10
WAYS = [(who, kept) for who in ("output", "forward") for kept in ("keep-alive", "close")]


class Result(NamedTuple):
    """What one run of wrk came to: requests a second, and microseconds; ``cpu`` for a request."""

    rate: float
    p99: float
    errors: int
    cpu: float


Results = dict[tuple[str, str], dict[str, list[Result]]]


class Given(NamedTuple):
    """The numbers of the command line."""

    rounds: int
    seconds: int
    connections: int


def main() -> None:
    words = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    words.add_argument("--rounds", type=int, default=11)
    words.add_argument("--seconds", type=int, default=2, help="of each run of wrk")
    words.add_argument("--connections", type=int, default=16)
    given = Given(**vars(words.parse_args()))
    for program in ("wrk", "haproxy", "nft"):
        if shutil.which(program) is None:
            package = "nftables" if program == "nft" else program
            sys.exit(f"{program} is missing, so nothing was measured: apt install {package}")
    isolate.start_over()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        (folder / "done.lua").write_text(DONE)
        sides = {
            "nftables": stack.enter_context(with_nftables(folder)),
            "tproxy-apply": stack.enter_context(with_tproxy_apply(folder)),
        }
        report(rounds(sides, folder, given))


@contextlib.contextmanager
def with_nftables(folder: Path) -> Iterator[Lab]:
    with staged(folder) as lab:
        for device in ("lo", "lan0"):
            lab.host.sysctl(f"net.ipv4.conf.{device}.accept_local", 1)
        lab.host.run(["ip", "rule", "add", "fwmark", "1", "lookup", "100"])
        lab.host.run(["ip", "route", "add", "local", "default", "dev", "lo", "table", "100"])
        lab.host.run(["nft", "-f", "-"], stdin=NFTABLES)
        yield lab


@contextlib.contextmanager
def with_tproxy_apply(folder: Path) -> Iterator[Lab]:
    with staged(folder) as lab:
        site = folder / "site.yaml"
        site.write_text(SITE)
        apply(lab, str(site))
        yield lab
        apply(lab, "--destroy")


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Lab]:
    """A lab with the proxy in HOST and an origin in NET, and ports enough for all requests."""
    with Lab(lan=True) as lab:
        assert lab.lan is not None
        for namespace in (lab.host, lab.lan):
            namespace.sysctl("net.ipv4.tcp_tw_reuse", 1)
            namespace.sysctl("net.ipv4.ip_local_port_range", "1024 65535")
        first, last = str(min(os.sched_getaffinity(0))), str(max(os.sched_getaffinity(0)))
        daemon(lab.net, folder / "origin.cfg", ORIGIN, first)
        daemon(lab.host, folder / "proxy.cfg", PROXY, last)
        yield lab


def daemon(namespace: Namespace, file: Path, text: str, cpu: str) -> None:
    file.write_text(text)
    command = ["taskset", "-c", cpu, "haproxy", "-db", "-f", str(file)]
    with file.with_suffix(".log").open("w") as log:
        namespace.popen(command, stdout=log, stderr=log)
    if not comes_true(lambda: namespace.run(["ss", "-Hltn"]).stdout != "", 20):
        sys.exit(f"haproxy does not listen: {file.with_suffix('.log').read_text()}")


def rounds(sides: dict[str, Lab], folder: Path, given: Given) -> Results:
    """Measure everything ``given.rounds`` times, the sides in turn."""
    results: Results = defaultdict(lambda: defaultdict(list))
    for way in WAYS:
        for name, lab in sides.items():
            if not is_intercepted(lab, way[0]):
                sys.exit(f"{name}, {way[0]}: nothing is intercepted, so nothing was measured")
        for number in range(given.rounds):
            order = list(sides) if number % 2 else list(reversed(sides))
            for name in order:
                results[way][name].append(wrk(sides[name], *way, folder, given))
    return results


def client(lab: Lab, who: str) -> Namespace:
    assert lab.lan is not None
    return lab.host if who == "output" else lab.lan


def is_intercepted(lab: Lab, who: str) -> bool:
    """Whether a page comes by way of the proxy."""
    return "via: proxy" in client(lab, who).run([*CURL, "--include", URL]).stdout


def wrk(lab: Lab, who: str, kept: str, folder: Path, given: Given) -> Result:
    words = ["wrk", "-t1", f"-c{given.connections}", f"-d{given.seconds}s", "--timeout", "10s"]
    words += ["-s", str(folder / "done.lua"), URL]
    if kept == "close":
        words += ["-H", "Connection: close"]
    first = str(min(os.sched_getaffinity(0)))
    before = cpu_seconds(lab)
    done = client(lab, who).run(["taskset", "-c", first, *words], timeout=given.seconds + 60)
    used = cpu_seconds(lab) - before
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    requests, microseconds, p99, errors = (int(word) for word in line.split()[1:])
    return Result(requests / microseconds * 1e6, p99, errors, used / requests * 1e6)


def cpu_seconds(lab: Lab) -> float:
    """Of the daemons of a lab, and of this process's children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    daemons = [
        int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
        for namespace in (lab.host, lab.net)
        for pid in inhabitants(namespace.inode)
    ]
    return used.ru_utime + used.ru_stime + sum(daemons)


def report(results: Results) -> None:
    for (who, kept), by_side in results.items():
        print(f"\n{who}, {kept}")
        for name, runs in by_side.items():
            columns = zip(*runs, strict=True)
            rate, p99, _, cpu = (statistics.median(column) for column in columns)
            shown = f"{rate:8.0f} requests/s, p99 {p99:6.0f} us, {cpu:6.1f} us of CPU a request"
            print(f"  {name:12} {shown}, {sum(run.errors for run in runs)} errors")
        pairs = list(zip(by_side["tproxy-apply"], by_side["nftables"], strict=True))
        tell("requests/s", [ours.rate / theirs.rate for ours, theirs in pairs], least=LEAST_RATE)
        tell("p99", [ours.p99 / theirs.p99 for ours, theirs in pairs], most=MOST_P99)
        tell("CPU time", [ours.cpu / theirs.cpu for ours, theirs in pairs])


def tell(what: str, ratios: list[float], *, least: float = 0, most: float = 0) -> None:
    middle = statistics.median(ratios)
    wanted = ""
    if least or most:
        reached = middle <= most if most else middle >= least
        bound = f"<= {most}" if most else f">= {least}"
        wanted = f", to reach {bound}: {'reached' if reached else 'NOT reached'}"
    spread = f"[{min(ratios):.2f} to {max(ratios):.2f}]"
    print(f"  {what}: {middle:.2f} of nftables' {spread}{wanted}")


if __name__ == "__main__":
    main()
