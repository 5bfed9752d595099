"""Filters (clsact) against links in front of them (tcx), side by side in one run.

    python -m tests.bench.attach [--rounds N] [--quick]

Three hosts: (n) nothing applied, (c) ``attach: clsact``, (t) ``attach: tcx``. They take turns
within each round, and a ratio is taken within its round. A datagram that is left alone meets one
program, a round trip of an intercepted connection six; all on one CPU. Namespaces only; needs
root and a C compiler.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.paths import PORT, SITE, Path4, Talk, apply, compiled
from tests.lab import Lab, isolate

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = {"n": "nothing applied", "c": "clsact", "t": "tcx"}
DATAGRAM, TRIP, OPENED = (
    "a datagram that is left alone",
    "a round trip of an intercepted connection",
    "an intercepted connection, opened and closed",
)
WAYS = {"c": "clsact", "t": "tcx"}


@contextlib.contextmanager
def hosts(folder: Path) -> Iterator[dict[str, Path4]]:
    """Set all three up, each with a listener."""
    talk = Talk(compiled(folder), "cubic", "")
    with contextlib.ExitStack() as stack:
        made = {}
        for name in NAMES:
            lab = stack.enter_context(Lab())
            lab.host.sysctl("net.ipv4.tcp_tw_reuse", 1)
            lab.host.run(["sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65535"])
            # What is sent ends at the other end of the wire.
            lab.net.run(["tc", "qdisc", "add", "dev", "isp0", "clsact"])
            drop = "protocol ip prio 1 bpf da bytecode"
            words = ["tc", "filter", "add", "dev", "isp0", "ingress", *drop.split(), "1,6 0 0 2,"]
            lab.net.run(words)
            if name in WAYS:
                site = folder / f"{name}.yaml"
                site.write_text(f"{SITE}attach: {WAYS[name]}\n")
                apply(lab, str(site))
            server = lab.host.popen(
                talk.on("0", "serve", "127.0.0.1", PORT), stdout=subprocess.PIPE
            )
            stack.callback(server.wait)
            stack.callback(server.kill)
            assert server.stdout is not None
            assert server.stdout.readline() == "listening\n"
            made[name] = Path4(lab, talk, ("1.1.1.1", "80"))
        yield made
        for name in WAYS:
            apply(made[name].lab, "--destroy")


def measured(one: Path4, what: str, scale: float) -> float:
    """Nanoseconds for one of them."""
    if what == DATAGRAM:
        return 1e9 * one.measure("0", "send", "1.1.1.1", "9", str(int(400_000 * scale)))
    if what == TRIP:
        return 1e9 * one.measure("0", "rtt", *one.target, "128", str(int(40_000 * scale)))
    return 1e9 / one.measure("0", "connect", *one.target, str(int(4000 * scale)), "first")


def report(what: str, found: dict[str, list[float]]) -> None:
    print(what)
    for name, values in found.items():
        print(f"  ({name}) {NAMES[name]:16} {statistics.median(values):10.0f} ns")
    ratios = sorted(tcx / clsact for tcx, clsact in zip(found["t"], found["c"], strict=True))
    saved = sorted(clsact - tcx for tcx, clsact in zip(found["t"], found["c"], strict=True))
    spread = f"[{ratios[0]:.3f} to {ratios[-1]:.3f}]"
    print(
        f"  (t)/(c) = {statistics.median(ratios):.3f} {spread}, (c)-(t) = "
        f"{statistics.median(saved):.0f} ns [{saved[0]:.0f} to {saved[-1]:.0f}]"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--quick", action="store_true", help="a hundredth of everything")
    given = options.parse_args()
    isolate.start_over()
    scale = 0.01 if given.quick else 1.0
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as folder, hosts(Path(folder)) as made:
        for number in range(given.rounds):
            order = list(made) if number % 2 else list(reversed(made))
            for what in (DATAGRAM, TRIP, OPENED):
                for name in order if what == DATAGRAM else [one for one in order if one in WAYS]:
                    found[what][name].append(measured(made[name], what, scale))
    for what, values in found.items():
        report(what, values)


if __name__ == "__main__":
    main()
