"""Traffic while the proxy dies and comes back and the site file changes.

``python -m tests.traffic.soak --minutes 10 [--seed N]``. Each error is set against what was done at
that time; it ends with 1 if one fell while the proxy was there.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.lab import isolate


def main() -> int:
    """Run it, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    drawn = random.randrange(1, 1 << 32)  # noqa: S311 - what is done when
    parser.add_argument("--seed", type=int, default=drawn)
    parser.add_argument("--patience", type=float, default=4, help="seconds for each answer")
    parser.add_argument("--pause", type=float, default=0, help="seconds between operations")
    given = parser.parse_args()
    isolate.start_over()
    from tests.traffic.soak.world import How, soak  # noqa: PLC0415 - its imports look for the bpffs

    how = How(given.minutes * 60, given.seed, given.patience, given.pause)
    with tempfile.TemporaryDirectory() as folder:
        log, done = soak(how, Path(folder))
    unexplained = log.unexplained()
    for line in log.lines(unexplained):
        print(line)
    by_operation = ", ".join(f"{number} {name}" for name, number in sorted(done.items()))
    print(f"seed {given.seed}: {done.total()} operations ({by_operation})")
    ends = Counter(span.what for span in log.absences)
    ways = ", ".join(f"{number} {how}" for how, number in sorted(ends.items()))
    print(f"the proxy was away {len(log.absences)} times ({ways}), {len(log.applies)} applies")
    print(f"{len(log.errors)} errors, {len(unexplained)} of them while the proxy was there")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
