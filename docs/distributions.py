"""Make docs/distributions.md from docs/distributions.json, which `make distros` writes.

A test fails while the two differ.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE / "distributions.md"
RESULTS = HERE / "distributions.json"
BEGIN = "<!-- made by docs/distributions.py from docs/distributions.json: change those instead -->"
END = "<!-- the end of what is made -->"
MADE = """

On Linux {kernel}:

{tried}

Debian 11 has Python {old}, which is too old. A checkout says so in one line,

```text
{says}
```

"""
RELEASES = ("Debian 12", "Debian 13", "sid")
_TRIED = {
    "installs": "`apt install ./netplan-tproxy_*.deb` with nothing else set up",
    "demo": "the demo's claims hold",
    "upgrade": "an upgrade cuts no connection",
    "purges": "`apt purge` leaves no file",
}
_PARTS = {
    "python": "Python", "bcc": "bcc", "libbpf": "libbpf", "pyroute2": "pyroute2",
    "jsonschema": "jsonschema", "yaml": "PyYAML",
}  # fmt: skip
_WORDS = {True: "yes", False: "**no**", None: "not tried"}


def page(text: str, results: Mapping[str, Any]) -> str:
    """Give the page with the tables that a run of `make distros` gives. Pure."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    says: str = results["too_old"]["says"]
    old = says.partition("this is ")[2].partition(" ")[0]
    tried = "\n".join(_tried(results["releases"]))
    made = MADE.format(tried=tried, kernel=results["kernel"], says=says, old=old)
    return f"{before}{BEGIN}{made}{END}{after}"


def _tried(releases: Mapping[str, Any]) -> Iterator[str]:
    all_of = [releases.get(name, {"versions": {}, "tests": {}}) for name in RELEASES]
    yield _row("", *RELEASES)
    yield _row(*["---"] * (len(RELEASES) + 1))
    for part, title in _PARTS.items():
        yield _row(title, *(one["versions"].get(part, "") for one in all_of))
    for what, title in _TRIED.items():
        yield _row(title, *(_WORDS[one.get(what)] for one in all_of))
    yield _row("a slice of the tests", *(_counted(one["tests"]) for one in all_of))


def _counted(tests: Mapping[str, int]) -> str:
    if not tests:
        return _WORDS[None]
    return ", ".join(
        f"{number} {word}" if word in {"passed", "skipped"} else f"**{number} {word}**"
        for word, number in tests.items()
    )


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Write the page."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
