"""One client and one listener over four paths, side by side in one run; prints ratios.

    python -m tests.bench.paths [--rounds N] [--quick] [--congestion NAME]

(a) plain loopback, (b) nftables TPROXY, (c) tproxy-apply, (d) the same with the fast path.
The paths alternate within each round and a ratio is taken within its round, so what the
machine does meanwhile hits all of them. Round trips are pinned to one CPU: unpinned they are
bimodal, by where the scheduler puts the two ends. All use cubic unless told otherwise: BBR, the
default of some machines, sends bulk by a timer, which hides what a path costs. Namespaces only;
needs root and a C compiler.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from netplan_tproxy.cli import main as cli
from tests.lab import Lab, cgroups, isolate

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
PORT = "9040"
SITE = "version: 1\ninterfaces: {wan0: {}}\nproxy: {port: 9040}\n"
NFTABLES = """
table ip bench {
  chain output {
    type route hook output priority mangle
    ip daddr 1.1.1.1 tcp dport 80 mark set 1
  }
  chain input {
    type filter hook prerouting priority mangle
    meta mark 1 tcp dport 80 tproxy to 127.0.0.1:9040 accept
  }
}
"""
NAMES = {
    "a": "plain loopback",
    "b": "nftables TPROXY",
    "c": "tproxy-apply",
    "d": "tproxy-apply, fast path",
}


class Goal(NamedTuple):
    """A ratio that is to be reached: ``path`` over ``against``."""

    what: str
    path: str
    against: str
    bound: float

    def reached(self, ratio: float) -> bool:
        return ratio <= self.bound if self.what.startswith("round trip") else ratio >= self.bound


GOALS = [
    *(
        Goal(f"round trip {size} B", path, against, bound)
        for size in (128, 16384)
        for path, against, bound in (("d", "a", 0.65), ("d", "b", 0.55), ("c", "b", 0.95))
    ),
    *(
        Goal(f"bulk {way}", path, against, bound)
        for way in ("up", "down")
        for path, against, bound in (("c", "b", 1.15), ("d", "c", 0.95))
    ),
    Goal("connections/s, closed by the client", "c", "b", 1.0),
    Goal("connections/s, closed by the server", "c", "b", 1.0),
]


class Talk(NamedTuple):
    """How talk.c is run: in the cgroup of the fast path, or outside ("")."""

    program: str
    congestion: str
    cgroup: str

    def on(self, cpu: str, *words: str) -> list[str]:
        join = ["sh", "-c", 'echo 0 >"$0/cgroup.procs" && exec "$@"', self.cgroup]
        how = ["env", f"CONGESTION={self.congestion}", "taskset", "-c", cpu]
        return [*(join if self.cgroup else []), *how, self.program, *words]


class Path4(NamedTuple):
    """A lab with a listener, and where its client goes."""

    lab: Lab
    talk: Talk
    target: tuple[str, str]

    def measure(self, cpu: str, *words: str) -> float:
        return float(self.lab.host.run(self.talk.on(cpu, *words), timeout=120).stdout)


@contextlib.contextmanager
def paths(
    folder: Path, cgroup: Path, server_cpu: str, congestion: str
) -> Iterator[dict[str, Path4]]:
    """Set all four up; their listeners run on ``server_cpu``. Only (d) lives in ``cgroup``."""
    program = compiled(folder)
    with contextlib.ExitStack() as stack:
        made = {}
        for name in NAMES:
            lab = stack.enter_context(Lab())
            prepare(lab, name, folder, cgroup)
            talk = Talk(program, congestion, str(cgroup) if name == "d" else "")
            command = talk.on(server_cpu, "serve", "127.0.0.1", PORT)
            server = lab.host.popen(command, stdout=subprocess.PIPE)
            stack.callback(server.wait)
            stack.callback(server.kill)
            assert server.stdout is not None
            assert server.stdout.readline() == "listening\n"
            made[name] = Path4(lab, talk, ("127.0.0.1", PORT) if name == "a" else ("1.1.1.1", "80"))
        yield made
        for name in "cd":
            apply(made[name].lab, "--destroy")


def compiled(folder: Path) -> str:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        sys.exit("a C compiler is needed: apt install gcc libc6-dev")
    target = folder / "talk"
    subprocess.run([compiler, "-O2", "-o", target, HERE / "talk.c"], check=True, timeout=60)
    return str(target)


def prepare(lab: Lab, name: str, folder: Path, cgroup: Path) -> None:
    # Thousands of connections a second: what is measured must not be a lack of ports.
    lab.host.sysctl("net.ipv4.tcp_tw_reuse", 1)
    lab.host.run(["sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65535"])
    if name == "b":
        lab.host.run(["sysctl", "-qw", "net.ipv4.conf.lo.accept_local=1"])
        lab.host.run(["ip", "rule", "add", "fwmark", "1", "lookup", "100"])
        lab.host.run(["ip", "route", "add", "local", "default", "dev", "lo", "table", "100"])
        lab.host.run(["nft", "-f", "-"], stdin=NFTABLES)
    if name in "cd":
        inside = f"{cgroup.parent.name}/{cgroup.name}"
        fast = (
            f"fastpath: {{enabled: true, accept: [fionread], cgroup: /{inside}}}\n"
            if name == "d"
            else ""
        )
        site = folder / f"{name}.yaml"
        site.write_text(SITE + fast)
        apply(lab, str(site))


def apply(lab: Lab, *arguments: str) -> None:
    with lab.host.entered(), contextlib.redirect_stdout(None):
        if cli.main(list(arguments)):
            sys.exit("tproxy-apply has failed")


@contextlib.contextmanager
def own_cgroup() -> Iterator[Path]:
    """A cgroup with this process and its children, so that nobody else's sockets take part."""
    if not cgroups.roots():
        sys.exit("no cgroup2 is mounted")
    with cgroups.cgroup() as path, cgroups.inside(path):
        yield cgroups.directory(path)


Results = dict[str, dict[str, list[float]]]
Jobs = dict[str, list[str]]


def latency(scale: float) -> Jobs:
    """Round trips of three sizes."""
    return {
        f"round trip {size} B": ["rtt", "{}", "{}", str(size), str(int(trips * scale))]
        for size, trips in ((1, 20_000), (128, 20_000), (16384, 10_000))
    }


def throughput(scale: float) -> Jobs:
    """Bulk both ways, and connections that leave nothing behind."""
    jobs = {
        f"bulk {way}": ["bulk", way, "{}", "{}", str(int((1 << 29) * scale))]
        for way in ("up", "down")
    }
    return {**jobs, **connections(scale, "client")}


def connections(scale: float, who: str) -> Jobs:
    """Connections that ``who`` closes first: TIME_WAIT is on its side.

    Those of the server come last of all. A client that gets a port again for which the proxy's
    side is in TIME_WAIT is the slow case, and after a few thousand every eighth one does.
    """
    last = "first" if who == "client" else "last"
    words = ["connect", "{}", "{}", str(int(4000 * scale)), last]
    return {f"connections/s, closed by the {who}": words}


def rounds(made: dict[str, Path4], count: int, jobs: Jobs) -> Results:
    """Measure everything ``count`` times, the paths in turn."""
    found: Results = defaultdict(lambda: defaultdict(list))
    for number in range(count):
        order = list(made) if number % 2 else list(reversed(made))
        for what, words in jobs.items():
            for name in order:
                places = iter(made[name].target)
                filled = [next(places) if word == "{}" else word for word in words]
                found[what][name].append(made[name].measure("0", *filled))
    return found


def report(found: Results) -> None:
    for what, by_path in found.items():
        print(f"\n{what}")
        for name, values in by_path.items():
            middle = statistics.median(values)
            shown = f"{middle * 1e6:8.2f} us" if "trip" in what else amount(what, middle)
            print(f"  ({name}) {NAMES[name]:24} {shown}")
        for goal in GOALS:
            if goal.what == what:
                pairs = zip(by_path[goal.path], by_path[goal.against], strict=True)
                ratios = sorted(one / other for one, other in pairs)
                middle = statistics.median(ratios)
                verdict = "reached" if goal.reached(middle) else "NOT reached"
                sign = "<=" if "trip" in what else ">="
                spread = f"[{ratios[0]:.2f} to {ratios[-1]:.2f}]"
                wanted = f"to reach {sign} {goal.bound}: {verdict}"
                print(f"  ({goal.path})/({goal.against}) = {middle:.2f} {spread}, {wanted}")


def amount(what: str, value: float) -> str:
    return f"{value / 1e9:8.2f} GB/s" if "bulk" in what else f"{value:8.0f} /s"


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--congestion", default="cubic", help="tcp(7): cubic, bbr, reno")
    options.add_argument("--quick", action="store_true", help="a hundredth of everything")
    given = options.parse_args()
    isolate.start_over()
    scale = 0.01 if given.quick else 1.0
    last = str(max(os.sched_getaffinity(0)))
    with own_cgroup() as outer, tempfile.TemporaryDirectory() as folder:
        cgroup = outer / "fast"
        cgroup.mkdir()
        for server_cpu in ("0", last):
            where = "one CPU" if server_cpu == "0" else f"client on CPU 0, listener on CPU {last}"
            print(f"== {where}")
            with paths(Path(folder), cgroup, server_cpu, given.congestion) as made:
                if server_cpu == "0":
                    report(rounds(made, given.rounds, latency(scale)))
                report(rounds(made, given.rounds, throughput(scale)))
                report(rounds(made, given.rounds, connections(scale, "server")))
        cgroup.rmdir()


if __name__ == "__main__":
    main()
