"""How long `--status` takes beside many intercepted connections; prints the least of the rounds.

    python -m tests.bench.status [--connections N] [--fastpath] [--rounds N]

The connections go to 5 000 addresses and are held by processes that have as many as
RLIMIT_NOFILE allows each. Namespaces only;
needs root, and 10 KB of memory for a connection.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.datapath import support
from tests.fastpath.support import fast
from tests.lab import Lab, cgroups, isolate
from tests.lab.patience import LONG
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESSES = 5000


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("--connections", type=int, default=50_000)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--fastpath", action="store_true")
    given = words.parse_args()
    isolate.start_over()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        inside = stack.enter_context(cgroups.cgroup())
        stack.enter_context(cgroups.inside(inside))
        lab = stack.enter_context(Lab())
        host = support.Applied(lab, folder)
        host.write(fast(cgroups.directory(inside)) if given.fastpath else "")
        with contextlib.redirect_stdout(None):
            host.apply()
        show(host, "no connection", given.rounds)
        with held(host, given.connections):
            show(host, f"{given.connections} connections", given.rounds)
        with contextlib.redirect_stdout(None):
            host.destroy()


def show(host: support.Applied, what: str, rounds: int) -> None:
    status = [sys.executable, "-m", "netplan_tproxy", "--status"]
    took = []
    for _ in range(rounds):
        began, worked = time.monotonic(), cpu_seconds()
        # 10: what is there to hold connections is no listener.
        told = host.lab.host.run(status, cwd=ROOT, timeout=120, check=False).stdout
        took.append((time.monotonic() - began, cpu_seconds() - worked))
    number = next(line.strip() for line in told.splitlines() if "remembered" in line)
    seconds, cpu = (min(column) for column in zip(*took, strict=True))
    print(f"{what}: {seconds:.2f} s, {cpu:.2f} s of CPU ({number})")


def cpu_seconds() -> float:
    """Of the children that have ended; waiting for other programs of the machine not counted."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextlib.contextmanager
def held(host: support.Applied, total: int) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        each = resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2 - 50
        for first in range(0, total, each):
            count = min(each, total - first)
            child = host.lab.host.popen(
                [sys.executable, "-m", "tests.bench.status", "hold", str(first), str(count)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
            )  # fmt: skip
            stack.callback(end, child)
            assert child.stdout is not None
            assert int(child.stdout.readline()) == count
        yield


def end(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.communicate(timeout=LONG)


def hold(first: int, count: int) -> None:
    """Open connections, say how many, and keep them until killed."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    ends = []
    with socket.socket() as proxy:
        proxy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        proxy.setsockopt(socket.SOL_IP, 19, 1)  # IP_TRANSPARENT
        proxy.bind(support.PROXY)
        proxy.listen(100)
        for number in range(first, first + count):
            index = number % ADDRESSES
            near = socket.create_connection((f"1.1.{index // 250}.{index % 250 + 1}", 80), 10)
            ends.append((near, proxy.accept()[0]))
    print(count, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    if sys.argv[1:2] == ["hold"]:
        hold(int(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
