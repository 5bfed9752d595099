"""Runs of ``tproxy-apply`` in a lab's HOST, and all that they could touch, as lines."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from netplan_tproxy.cli import main as cli
from netplan_tproxy.commands.options import UNHEARD
from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.kernel.bpf.maps import keys, lookup, map_info, open_pinned
from netplan_tproxy.kernel.host.netns import netns_cookie
from netplan_tproxy.paths import DEFAULT_STATE
from tests.lab import Snapshot, diff_snapshots, snapshot
from tests.lab.counters import pins_of
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lab import Lab

SITE = "version: 1\ninterfaces:\n  wan0: {}\nproxy: {port: 9040}\n"
STATE = Path(DEFAULT_STATE)
_LOADED = re.compile(r" load_time \d+")
_DONE = re.compile(r"(applied|taken away|put back) in \d+\.\d s")
CHANGES = 23
"""How many changes the first apply of ``SITE`` makes."""


def plan_of(lines: list[str]) -> list[str]:
    """All but the line that says that it is done, and how long it took."""
    return [line for line in lines if not _DONE.fullmatch(line)]


class Run(NamedTuple):
    """What one run said, and its exit code."""

    code: int
    out: list[str]
    err: str

    @property
    def plan(self) -> list[str]:
        """What it says, but for the line that it is done."""
        return plan_of(self.out)

    @property
    def total(self) -> int:
        """How many changes the last line of its plan says that there are."""
        counted = re.findall(r"(\d+) to (?:add|change|remove)", self.plan[-1])
        return sum(map(int, counted))

    @property
    def is_as_the_file_says(self) -> bool:
        """Whether a ``--check`` says so; that nobody listens is another matter."""
        return self.code in {0, UNHEARD}

    @property
    def changes(self) -> list[str]:
        """The lines that say what is changed; with ``-v`` one each."""
        return [line for line in self.out if line[:2] in {"+ ", "~ ", "- "}]


PROGRAM = Path(__file__).parents[1] / "tools" / "program.py"


class Host:
    """A lab's HOST with a site file."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.namespace = lab.host
        self.site = folder / "site.yaml"
        self.write(SITE)

    def write(self, text: str) -> None:
        self.site.write_text(text)

    def run(self, *arguments: str) -> Run:
        """``tproxy-apply`` in this process."""
        out, err = io.StringIO(), io.StringIO()
        with self.namespace.entered(), contextlib.redirect_stdout(out):
            with contextlib.redirect_stderr(err):
                try:
                    code = cli.main(list(arguments))
                except SystemExit as leaving:
                    code = int(str(leaving.code))
        return Run(code, out.getvalue().splitlines(), err.getvalue())

    def apply(self, *options: str) -> Run:
        return self.run(str(self.site), *options)

    def applied(self) -> Run:
        """An apply that must succeed."""
        return _succeeded(self.apply())

    def destroyed(self) -> Run:
        """A destroy that must succeed."""
        return _succeeded(self.run("--destroy"))

    def popen_words(self, *arguments: str) -> list[str]:
        """The command line of a run in a process of its own."""
        return [sys.executable, str(PROGRAM), *arguments]

    def spawn(self, *arguments: str, prefix: tuple[str, ...] = ()) -> Run:
        """``tproxy-apply`` in a process of its own."""
        words = [*prefix, *self.popen_words(*arguments)]
        done = self.namespace.run(words, check=False, cwd=ROOT)
        return Run(done.returncode, done.stdout.splitlines(), done.stderr)

    def sh(self, *lines: str) -> str:
        """Type commands by hand."""
        return "".join(self.namespace.run(line.split()).stdout for line in lines)

    @property
    def pins(self) -> Path:
        return pins_of(self.lab)

    @property
    def state(self) -> Path:
        with self.namespace.entered():
            return STATE / str(netns_cookie())

    def pin(self, what: str, name: str) -> Path:
        """The pin of a map or a program, whose names end in a digest."""
        (found,) = (self.pins / what).glob(f"{name}@*")
        return found

    def look(self) -> Snapshot:
        """All that another tool could see; ids apart."""
        found = snapshot(self.namespace)
        found["filters"] = [_LOADED.sub("", line) for line in found["filters"]]
        return found

    def stare(self) -> Snapshot:
        """The same with the ids of everything, map contents and the state directory."""
        with self.namespace.entered(), Kernel() as kernel, kernel.snapshot() as seen:
            maps = [f"{pin} {one.id}" for pin, one in seen.maps.items()]
            programs = [f"{pin} {which}" for pin, which in seen.programs.items()]
        found = snapshot(self.namespace, keep_ids=True)
        entries = sorted(_entries(self.pins / "maps"))
        return {**found, "pins": maps + programs, "entries": entries, "state": sorted(_files())}

    def stare_at_bytes(self) -> Snapshot:
        """What other tools see, and the state directory byte by byte: it may hold nonsense."""
        files = [path for path in STATE.rglob("*") if path.is_file() and path.name != "lock"]
        return {**self.look(), "bytes": [f"{path} {path.read_bytes()!r}" for path in files]}

    def stare_at_times(self) -> Snapshot:
        """The same with the time of every touch, the lock's too."""
        times = [f"{path} {path.lstat().st_mtime_ns}" for path in STATE.rglob("*")]
        return {**self.stare(), "times": sorted(times)}


def _succeeded(done: Run) -> Run:
    if (done.code, done.err) != (0, ""):
        raise AssertionError(f"exit {done.code}: {done.err}")
    return done


def _entries(folder: Path) -> Iterator[str]:
    for path in folder.glob("config@*"):
        with open_pinned(str(path)) as fd:
            info = map_info(fd)
            for key in keys(fd, info.key_size):
                yield f"{path.name} {key.hex()}: {lookup(fd, key, info.value_size)!r}"


def _files() -> Iterator[str]:
    for path in [STATE, *STATE.rglob("*")] if STATE.exists() else []:
        status = path.lstat()
        named = path.is_file() and path.name != "lock"
        text = f"{status.st_mtime_ns} {path.read_text()}" if named else ""
        yield f"{path} {status.st_mode:o} {text}"


@contextlib.contextmanager
def unchanged(look: Callable[[], Snapshot]) -> Iterator[None]:
    """What ``look`` sees is the same before and after."""
    before = look()
    yield
    differing = diff_snapshots(before, look())
    if differing:
        raise AssertionError("\n".join(differing))
