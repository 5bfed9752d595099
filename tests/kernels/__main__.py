"""``make kernels``: the demo and the tests of the datapath on other kernels."""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

from tests.kernels import guest, packages, results, table
from tests.kernels.apt import UnavailableError
from tests.kernels.jobs import run_suite
from tests.kernels.suites import DEMO, KERNELS, SUITES
from tests.paths import ROOT

if TYPE_CHECKING:
    from tests.kernels.packages import Kernel, Unpacked
    from tests.kernels.results import Came
    from tests.kernels.suites import Suite

_HOUR = 3600


def main() -> int:
    """Run what is asked for; 0 if all of it passed."""
    asked = _arguments()
    kernels = [one for one in KERNELS if not asked.kernel or one.name in asked.kernel]
    ready = {one: unpacked for one in kernels if (unpacked := _obtained(one))}
    if asked.fetch:
        return 0
    if asked.sh:
        return max(_sh(unpacked, asked.sh, asked.folder / "sh") for unpacked in ready.values())
    jobs = [
        (kernel, suite)
        for suite in _suites(asked.suite)
        for kernel in ready
        if kernel.machine == "amd64" or suite.name == DEMO
    ]
    asked.folder.mkdir(parents=True, exist_ok=True)
    clean = len(ready) == len(kernels)
    with ThreadPoolExecutor(asked.guests) as pool:
        running: dict[Future[Came], tuple[Kernel, Suite]] = {}
        for kernel, suite in jobs:
            folder = asked.folder / f"{kernel.name}-{suite.name}"
            running[pool.submit(run_suite, ready[kernel], suite, folder)] = (kernel, suite)
        for future in as_completed(running):
            kernel, suite = running[future]
            came = future.result()
            print(f"{kernel.name} {suite.name}: {came.result} ({came.seconds:.0f} s)", flush=True)
            for test, why in came.result.failed.items():
                print(f"  {test}: {why}", flush=True)
            clean = clean and not came.result.failed and not came.result.cut_short
            if asked.keep:
                version = ready[kernel].version
                results.write(results.Run(kernel.name, version, suite.name, came))
                table.write()
    return 0 if clean else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.kernels", description=__doc__)
    parser.add_argument("kernel", nargs="*", help="5.10, 6.1, …: all if none is named")
    parser.add_argument("--suite", action="append", help="demo, steps, …: all if none is named")
    parser.add_argument("--sh", metavar="COMMAND", help="run this there instead")
    parser.add_argument("--guests", type=int, default=1, help="how many run side by side")
    parser.add_argument("--keep", action="store_true", help="write docs/kernels.json and its page")
    parser.add_argument("--fetch", action="store_true", help="only download the kernels")
    aside = Path(tempfile.gettempdir()) / "tproxy-kernels"
    parser.add_argument("--folder", type=Path, default=aside, help="for consoles and reports")
    return parser.parse_args()


def _obtained(kernel: Kernel) -> Unpacked | None:
    try:
        return packages.obtain(kernel)
    except UnavailableError as reason:
        print(f"Linux {kernel.name} cannot be had here: {reason}", file=sys.stderr)
        return None


def _sh(kernel: Unpacked, command: str, folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    ended = guest.run(kernel, f"cd '{ROOT}'\n{command}", folder, _HOUR)
    print(ended.console)
    return 1 if ended.code is None else ended.code


def _suites(names: list[str] | None) -> list[Suite]:
    return [one for one in SUITES if not names or one.name in names]


if __name__ == "__main__":
    sys.exit(main())
