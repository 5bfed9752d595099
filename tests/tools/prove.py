"""Show that the suite neither minds the machine it runs on nor another of its kind.

    python -m tests.tools.prove two       two suites at once
    python -m tests.tools.prove beside    one beside a program that loads, drops and attaches BPF
    python -m tests.tools.prove mounts    with named namespaces and mounts below /run and bpffs
    python -m tests.tools.prove places    clones in /tmp, in /home/somebody, in a path with a space
    python -m tests.tools.prove together  all of it at once

Each takes ``--minutes`` at the most, and the words for pytest behind ``--``: a folder for a
part, none for the whole suite. What it sets up on the machine it takes away again.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.lab import syscalls
from tests.paths import ROOT

NAME = f"ntp-prove-{secrets.token_hex(3)}"


class Suite:
    """A run of pytest in a checkout, its output in a file."""

    def __init__(self, what: str, words: list[str], root: Path = ROOT) -> None:
        self.what = what
        self.log = Path(tempfile.gettempdir()) / f"{NAME}-{what.replace(' ', '-')}.log"
        python = ROOT / ".venv/bin/python"
        command = [str(python), "-m", "pytest", "-q", "--dist", "worksteal", *words]
        # The package is that of the checkout, not the one that the environment was made for.
        environment = {**os.environ, "PYTHONPATH": str(root)}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=root, env=environment, stdout=log, stderr=log
            )

    def ended(self, until: float) -> bool:
        """Wait for it; say how it ended."""
        try:
            code = self.process.wait(max(1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.terminate()
            self.process.wait(60)
            print(f"{self.what}: not done in time, see {self.log}")
            return False
        last = (self.log.read_text().splitlines() or ["said nothing"])[-1]
        print(f"{self.what}: exit {code}: {last} ({self.log})", flush=True)
        return code == 0


def two(words: list[str], until: float) -> bool:
    suites = [Suite(f"suite {number}", words) for number in (1, 2)]
    ended = [suite.ended(until) for suite in suites]  # every one, so that none is left running
    return all(ended)


@contextlib.contextmanager
def disturbed(until: float) -> Iterator[None]:
    seconds = str(max(1.0, until - time.monotonic()))
    nuisance = subprocess.Popen([sys.executable, "-m", "tests.tools.disturb", seconds], cwd=ROOT)
    try:
        yield
        if nuisance.poll() is not None:
            raise SystemExit("the other program ended too early")
    finally:
        nuisance.terminate()
        nuisance.wait(10)


def beside(words: list[str], until: float) -> bool:
    with disturbed(until):
        return Suite("beside", words).ended(until)


@contextlib.contextmanager
def mounted(source: str, kind: str, place: Path) -> Iterator[None]:
    place.mkdir(parents=True)
    syscalls.mount(source, str(place), kind)
    try:
        yield
    finally:
        syscalls.umount(str(place))
        place.rmdir()


@contextlib.contextmanager
def inhabited() -> Iterator[None]:
    """A named namespace makes /run/netns a mount; Docker and sessions leave others there."""
    with contextlib.ExitStack() as stack:
        for name in (f"{NAME}-a", f"{NAME}-b"):
            subprocess.run(["ip", "netns", "add", name], check=True)
            stack.callback(subprocess.run, ["ip", "netns", "del", name], check=True)
        stack.enter_context(mounted("prove", "tmpfs", Path("/run") / NAME))
        stack.enter_context(mounted("prove", "tmpfs", Path("/run") / NAME / "below it"))
        pins = Path("/sys/fs/bpf")
        if not os.path.ismount(pins):
            syscalls.mount("prove", str(pins), "bpf")
            stack.callback(syscalls.umount, str(pins))
        stack.enter_context(mounted("prove", "bpf", pins / NAME))
        yield


def mounts(words: list[str], until: float) -> bool:
    with inhabited():
        return Suite("mounts", words).ended(until)


@contextlib.contextmanager
def cloned(place: Path, name: str) -> Iterator[Path]:
    folder = place / NAME
    folder.mkdir()
    try:
        subprocess.run(["git", "clone", "-q", ROOT, folder / name], check=True)
        yield folder / name
    finally:
        shutil.rmtree(folder)


IN_TMP, IN_HOME, WITH_SPACE = (
    (Path("/tmp"), "clone"),  # noqa: S108 - the place in question
    (Path("/home"), "clone"),
    (Path("/opt"), "a clone"),
)


def places(words: list[str], until: float) -> bool:
    passed = []
    for place, name in (IN_TMP, IN_HOME, WITH_SPACE):
        with cloned(place, name) as clone:
            passed.append(Suite(f"in {place.name}", words, clone).ended(until))
    return all(passed)


def together(words: list[str], until: float) -> bool:
    """Two suites at once, in two such places, on such a machine, beside such a program."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(inhabited())
        clones = [stack.enter_context(cloned(*where)) for where in (IN_TMP, WITH_SPACE)]
        stack.enter_context(disturbed(until))
        suites = [Suite(f"in {clone}".replace("/", " "), words, clone) for clone in clones]
        ended = [suite.ended(until) for suite in suites]
        return all(ended)


PROOFS: dict[str, Callable[[list[str], float], bool]] = {
    "two": two,
    "beside": beside,
    "mounts": mounts,
    "places": places,
    "together": together,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.prove", allow_abbrev=False)
    parser.add_argument("what", choices=PROOFS)
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--workers", default=str(2 * (os.cpu_count() or 1)))
    parser.add_argument("words", nargs="*")
    given = parser.parse_intermixed_args()
    until = time.monotonic() + 60 * given.minutes
    passed = PROOFS[given.what](["-n", given.workers, *given.words], until)
    print("passed" if passed else "FAILED")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
