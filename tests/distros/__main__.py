"""``make distros``: what works in which release of Debian, kept in docs/distributions.json."""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys

from tests.distros import deb, releases
from tests.distros.root import PLACE
from tests.paths import DOCS

RESULTS = DOCS / "distributions.json"
RELEASES = (
    releases.Release("Debian 12", "bookworm"),
    releases.Release("Debian 13", "trixie"),
    releases.Release("sid", "sid"),
)


def main() -> int:
    """Try all, or those that are named; 0 if everything works everywhere."""
    parser = argparse.ArgumentParser(prog="python -m tests.distros", description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", help="one release, by its name")
    parser.add_argument("--no-build", action="store_true", help="the package is built already")
    options = parser.parse_args()
    if not options.no_build:
        deb.build()
    shutil.rmtree(PLACE / "tree", ignore_errors=True)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"releases": {}}
    results = known["releases"]
    for release in RELEASES:
        if not options.only or release.name in options.only:
            results[release.name] = release.tried()
            print(json.dumps(results[release.name]), flush=True)
            _keep(known)
    if not options.only or "Debian 11" in options.only:
        known["too_old"] = releases.too_old()
        print(json.dumps(known["too_old"]), flush=True)
        _keep(known)
    return (
        0 if all(map(is_right, results.values())) and known.get("too_old", {}).get("refused") else 1
    )


def is_right(result: dict[str, object]) -> bool:
    """Whether everything that was tried in a release works."""
    tests = result["tests"]
    assert isinstance(tests, dict)
    return all(one is not False for one in result.values()) and tests.keys() <= {
        "passed",
        "skipped",
    }


def _keep(known: dict[str, object]) -> None:
    known["kernel"] = platform.release().partition("-")[0]
    RESULTS.write_text(json.dumps(known, indent=2) + "\n")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as failure:
        print(failure.output)
        raise
