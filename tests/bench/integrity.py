"""Many intercepted connections at once, ill-treated in every way: no byte wrong, none hangs.

    python -m tests.bench.integrity [--gib N] [--seconds N] [--flows N] [--path c|d]

Both ways at once, messages of 1 B to 1 MiB, fast and slow readers, small buffers, half-close
by either side, resets in mid-stream, and meanwhile the fast path is switched off and on, its
programs are replaced and its budget changes. Every byte that arrives is compared with the one
that belongs there; after a reset what came must be a beginning. Namespaces only; needs root.
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.bench.paths import own_cgroup
from tests.datapath.support import PROXY, Applied, listener
from tests.fastpath.support import counters, fast
from tests.lab import Lab, isolate
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

PERIOD = 1_048_573  # a prime: no power of two shifts the pattern onto itself
PATTERN = random.Random(1).randbytes(PERIOD) * 3  # noqa: S311
_HANG = 60.0
_UPGRADE = (
    "import sys; from netplan_tproxy import cli, datapath; source = datapath.program_source; "
    "datapath.program_source = lambda *of: source(*of) + '/* later %d */'; "
    "sys.exit(cli.main(sys.argv[1:]))"
)


class Wrong(Exception):  # noqa: N818 - it is what the run looks for
    """A byte that does not belong where it arrived."""


class Way(NamedTuple):
    """One direction of a connection."""

    sender: socket.socket
    reader: socket.socket
    offset: int
    size: int


class Tally:
    """What all flows together have come to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.bytes = self.flows = self.reset = self.hung = 0
        self.wrong: list[str] = []

    def add(
        self, *, size: int = 0, reset: bool = False, hung: bool = False, wrong: str = ""
    ) -> None:
        with self._lock:
            self.bytes += size
            self.reset += reset
            self.hung += hung
            self.wrong += [wrong] if wrong else []

    def flow(self) -> None:
        with self._lock:
            self.flows += 1


def send(way: Way, chance: random.Random, *, cut: bool) -> None:
    at, stop = 0, chance.randrange(way.size) if cut else way.size
    while at < stop:
        size = min(stop - at, int(2 ** (chance.random() * 20)))
        start = (way.offset + at) % PERIOD
        way.sender.sendall(PATTERN[start : start + size])
        at += size
    if cut:
        way.sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        way.sender.close()
    else:
        way.sender.shutdown(socket.SHUT_WR)


def read(way: Way, chance: random.Random, tally: Tally, *, slow: bool) -> int:
    at = 0
    while part := way.reader.recv(1 << int(chance.random() * 19)):
        start = (way.offset + at) % PERIOD
        if part != PATTERN[start : start + len(part)]:
            message = f"byte {at} and on of {way.size}"
            raise Wrong(message)
        at += len(part)
        tally.add(size=len(part))
        if slow and chance.random() < 0.02:
            time.sleep(chance.random() / 50)
    return at


def guarded(what: Callable[[], int | None], tally: Tally, wanted: int | None) -> None:
    """``wanted`` None: the connection may be reset, and then less may come."""
    try:
        came = what()
    except Wrong as wrong:
        tally.add(wrong=str(wrong))
    except TimeoutError:
        tally.add(hung=True)
    except OSError as error:
        if wanted is not None:
            tally.add(wrong=f"failed: {error}")
    else:
        if wanted is not None and came is not None and came != wanted:
            tally.add(wrong=f"{came} of {wanted} bytes came")


def play(pair: tuple[socket.socket, socket.socket], seed: int, tally: Tally) -> None:
    """One connection, both ways at once."""
    chance = random.Random(seed)  # noqa: S311
    cut = chance.random() < 0.1
    if chance.random() < 0.3:
        for end in pair:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    threads = []
    for number, (one, other) in enumerate((pair, pair[::-1])):
        way = Way(one, other, chance.randrange(PERIOD), int(2 ** (chance.random() * 25)))
        wanted = None if cut else way.size
        ours = random.Random(seed * 2 + number)  # noqa: S311
        cuts, slow = cut and not number, chance.random() < 0.3
        jobs: tuple[Callable[[], int | None], ...] = (
            lambda way=way, ours=ours, cuts=cuts: send(way, ours, cut=cuts),  # type: ignore[misc]
            lambda way=way, ours=ours, slow=slow: read(way, ours, tally, slow=slow),  # type: ignore[misc]
        )
        threads += [threading.Thread(target=guarded, args=(job, tally, wanted)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally.add(reset=cut)
    tally.flow()
    for end in pair:
        end.close()


def tproxy_apply(host: Applied, code: str = "") -> None:
    words = ["-c", code] if code else ["-m", "netplan_tproxy"]
    host.lab.host.run([sys.executable, *words, str(host.site)], cwd=ROOT)


def disturb(
    host: Applied, cgroup: Path, over: threading.Event, done: list[str], total: Counter[str]
) -> None:
    """Switch, upgrade and change while connections run."""
    on = fast(cgroup)
    turns = [
        ("off", "", ""),
        ("on", on, ""),
        ("other programs", on, _UPGRADE),
        ("small budget", fast(cgroup, ", budget: 8KiB"), ""),
        ("back", on, ""),
    ]
    while not over.wait(0.3):
        what, lines, code = turns[len(done) % len(turns)]
        if what == "off":  # the counters go with their map
            total.update(counters(host))
        host.write(lines)
        tproxy_apply(host, code % len(done) if code else "")
        done.append(what)


def work(seed: int, given: argparse.Namespace, cgroup: Path) -> int:
    """One process with a lab of its own; give the exit code."""
    tally, over, done = Tally(), threading.Event(), list[str]()
    total: Counter[str] = Counter()
    with Lab() as lab, tempfile.TemporaryDirectory() as folder:
        lab.host.sysctl("net.ipv4.tcp_tw_reuse", 1)
        host = Applied(lab, Path(folder), extra=fast(cgroup) if given.path == "d" else "")
        tproxy_apply(host)
        until = time.monotonic() + given.seconds
        meddler = threading.Thread(target=disturb, args=(host, cgroup, over, done, total))
        if given.path == "d":
            meddler.start()
        with listener(host, PROXY) as proxy:
            pending: list[threading.Thread] = []
            while time.monotonic() < until and tally.bytes < given.gib * (1 << 30):
                pending = [thread for thread in pending if thread.is_alive()]
                if len(pending) >= given.flows:
                    time.sleep(0.005)
                    continue
                pair = host.pair(proxy)
                for end in pair:
                    end.settimeout(_HANG)
                seed += 10_007
                pending.append(threading.Thread(target=play, args=(tuple(pair), seed, tally)))
                pending[-1].start()
            for thread in pending:
                thread.join(2 * _HANG)
                tally.add(hung=thread.is_alive())
        over.set()
        if given.path == "d":
            meddler.join(60)
            host.write(fast(cgroup))
            tproxy_apply(host)
            print({name: number for name, number in (total + counters(host)).items() if number})
        lab.host.run([sys.executable, "-m", "netplan_tproxy", "--destroy"])
    print(
        f"{tally.bytes / (1 << 30):.2f} GiB over {tally.flows} connections, {tally.reset} of them "
        f"reset, {len(done)} changes under way: {len(tally.wrong)} mismatches, {tally.hung} hangs"
    )
    for line in tally.wrong[:10]:
        print(f"  {line}")
    return 1 if tally.wrong or tally.hung or not tally.flows else 0


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--gib", type=float, default=5.0, help="for each CPU")
    options.add_argument("--seconds", type=float, default=300.0)
    options.add_argument("--flows", type=int, default=16, help="at once, for each CPU")
    options.add_argument("--path", choices=["c", "d"], default="d")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    isolate.start_over()
    with own_cgroup() as cgroup:
        children = []
        for number in range(len(os.sched_getaffinity(0))):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    code = work(given.seed + number, given, cgroup)
                finally:
                    sys.stdout.flush()
                    os._exit(code)
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.exit(max(codes))


if __name__ == "__main__":
    main()
