"""docs/kernels.md, from docs/kernels.json: each cell is what a run said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from tests.kernels import results
from tests.kernels.results import Result
from tests.kernels.suites import KERNELS, SUITES
from tests.paths import DOCS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PAGE = DOCS / "kernels.md"
NAMES = [kernel.name for kernel in KERNELS]
_HEAD = """\
# Kernels

What ran on which kernel, and how it ended. `make kernels` boots each of them in software emulation
(qemu, with the programs of the machine it runs on), runs the demo and the tests there, and makes
this page from what they said, which is kept in `docs/kernels.json`. A suite is a folder of
`tests/`; the demo counts its claims.
"""
_STEPS = """\
## How much the verifier walks

Instructions that each kernel's verifier walks before it takes a program. It gives up at a million;
`tests/datapath/test_verifier.py` holds each below a bound.
"""


def write() -> None:
    """Make the page anew."""
    PAGE.write_text(page(results.read()))


def page(known: Mapping[str, Mapping[str, object]]) -> str:
    """The page's text."""
    suites = [suite.name for suite in SUITES]
    lines = [_HEAD, *_row("kernel", suites), *_row("---", ["---"] * len(suites))]
    found = {name: _results(known.get(name, {})) for name in NAMES}
    for name in NAMES:
        cells = [str(found[name][suite]) if suite in found[name] else "not run" for suite in suites]
        version = known.get(name, {}).get("version", "not booted")
        lines += _row(f"{name} ({version})", cells)
    for title, told in (("failed", _failures), ("was skipped", _skips)):
        lines += ["", f"## What {title}", ""]
        lines += [line for name in NAMES for line in told(name, found[name])] or ["Nothing."]
    lines += ["", _STEPS, *_steps(known)]
    return "\n".join(lines) + "\n"


def _row(first: str, cells: list[str]) -> list[str]:
    return [f"| {' | '.join([first, *cells])} |"]


def _results(row: Mapping[str, object]) -> dict[str, Result]:
    suites = cast("dict[str, dict[str, Any]]", row.get("suites", {}))
    return {name: Result(**one) for name, one in suites.items()}


def _failures(kernel: str, found: Mapping[str, Result]) -> Iterator[str]:
    for result in found.values():
        for test, why in result.failed.items():
            yield f"- {kernel}: `{test}`: {_plain(why)}"


def _skips(kernel: str, found: Mapping[str, Result]) -> Iterator[str]:
    for suite, result in found.items():
        for why, count in result.skipped.items():
            yield f"- {kernel}, {suite}: {count} times {_plain(why)}"


def _plain(text: str) -> str:
    """Text of a program's, as code, so that nothing in it is markup."""
    return f"`{text.replace('`', chr(39))}`"


def _steps(known: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    rows = {name: cast("dict[str, int]", known.get(name, {}).get("steps", {})) for name in NAMES}
    counts = {name: row for name, row in rows.items() if row}
    yield from _row("program", list(counts))
    yield from _row("---", ["--:"] * len(counts))
    for program in sorted({one for row in counts.values() for one in row}):
        yield from _row(f"`{program}`", [str(row.get(program, "")) for row in counts.values()])


if __name__ == "__main__":
    write()
