"""How long a run takes with one and with many intercepted interfaces, beside tc(8) by hand.

    python -m tests.bench.scale [--interfaces N] [--rounds N]

Each round, in a lab of its own, applies (compiling, and with what was compiled before), finds
nothing to do, and destroys; then tc adds and deletes the same qdiscs and filters with one batch
file, with programs that are loaded already. Prints seconds and megabytes: least, median and most.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from netplan_tproxy.kernel.bpf.maps import open_pinned, pin
from netplan_tproxy.paths import DEFAULT_CACHE
from tests.lab import Lab, isolate, syscalls
from tests.lab.host import Host
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

_TIME = ("/usr/bin/time", "-f", "%M KB")
_COMMAND = (sys.executable, "-P", "-m", "netplan_tproxy")
_LIMIT = 300


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("--interfaces", type=int, default=200)
    words.add_argument("--rounds", type=int, default=3)
    given = words.parse_args()
    if not Path(_TIME[0]).exists():
        sys.exit("time is missing, so nothing was measured: apt install time")
    isolate.start_over()
    for count in dict.fromkeys((1, given.interfaces)):
        taken: dict[str, list[tuple[float, int]]] = {}
        for _ in range(given.rounds):
            for what, seconds, kilobytes in measured(count):
                taken.setdefault(what, []).append((seconds, kilobytes))
        print(f"{count} interface{'s' if count > 1 else ''}")
        for what, runs in taken.items():
            print(f"  {what}: {spread([one for one, _ in runs])} s, {runs[0][1] / 1024:.0f} MB")


def spread(values: list[float]) -> str:
    return f"{min(values):.2f} {statistics.median(values):.2f} {max(values):.2f}"


def measured(count: int) -> Iterator[tuple[str, float, int]]:
    """Give what was done, the seconds it took and the most memory that it had, in kilobytes."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        host = Host(stack.enter_context(Lab()), folder)
        names = [f"many{number}" for number in range(count)]
        batch = folder / "batch"
        batch.write_text("".join(f"link add {one} type veth peer name p{one}\n" for one in names))
        host.sh(f"ip -batch {batch}")
        keys = "".join(f"  {one}: {{}}\n" for one in names)
        host.write(f"version: 1\ninterfaces:\n{keys}proxy: {{port: 9040}}\n")
        site = str(host.site)
        shutil.rmtree(DEFAULT_CACHE, ignore_errors=True)  # a lab's own
        yield ("apply, compiling", *run(host, *_COMMAND, site))
        run(host, *_COMMAND, "--destroy")
        yield ("apply, compiled before", *run(host, *_COMMAND, site))
        yield ("no change", *run(host, *_COMMAND, site))
        kept = folder / "bpf"
        stack.enter_context(program_kept(host, kept))
        yield ("destroy", *run(host, *_COMMAND, "--destroy"))
        batch.write_text("".join(by_hand(names, kept / "program")))
        yield ("tc -batch: put there", *run(host, "tc", "-batch", str(batch)))
        batch.write_text("".join(f"qdisc del dev {one} clsact\n" for one in names))
        yield ("tc -batch: take away", *run(host, "tc", "-batch", str(batch)))


def by_hand(names: list[str], program: Path) -> Iterator[str]:
    """Give the lines of tc for what an apply puts on the interfaces."""
    for one in names:
        yield f"qdisc add dev {one} clsact\n"
        for hook in ("ingress", "egress"):
            yield f"filter add dev {one} {hook} bpf da object-pinned {program}\n"


@contextlib.contextmanager
def program_kept(host: Host, path: Path) -> Iterator[None]:
    """Keep a program of the site pinned at a path of a bpffs of its own."""
    path.mkdir()
    syscalls.mount("bench", str(path), "bpf")
    try:
        with open_pinned(str(host.pin("programs", "wan_egress"))) as program:
            pin(program, str(path / "program"))
        yield
    finally:
        syscalls.umount(str(path))


def run(host: Host, *words: str) -> tuple[float, int]:
    begun = time.monotonic()
    done = host.namespace.run([*_TIME, *words], cwd=ROOT, timeout=_LIMIT, check=False)
    if done.returncode not in {0, 10}:
        raise AssertionError(done.stderr)
    return time.monotonic() - begun, int(done.stderr.split()[-2])


if __name__ == "__main__":
    main()
