"""Debian's packages of any suite and machine; apt's state of this machine is not touched."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
_LIMIT = 600
"""Seconds that one program of apt's may take."""


class UnavailableError(Exception):
    """Something cannot be had here; the message says why."""


class Apt:
    """apt with a source, lists and a cache of its own, below a folder. Raises UnavailableError."""

    def __init__(self, folder: Path, suite: str, machine: str) -> None:
        self.folder = folder
        for part in ("lists/partial", "archives/partial"):
            (folder / part).mkdir(parents=True)
        source = f"deb [signed-by={_KEYS} arch={machine}] {_mirror()} {suite} main\n"
        (folder / "sources.list").write_text(source)
        settings = {
            "APT::Architecture": machine,
            "APT::Architectures": machine,
            "APT::Sandbox::User": "root",
            "APT::Update::Error-Mode": "any",
            "Acquire::http::Timeout": "20",
            "Acquire::Languages": "none",
            "Debug::NoLocking": "1",
            "Dir::Cache": f"{folder}",
            "Dir::Etc::sourcelist": f"{folder}/sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State::Lists": f"{folder}/lists",
            "Dir::State::extended_states": f"{folder}/extended_states",
            "Dir::State::status": "/dev/null",
        }
        self._options = [word for pair in settings.items() for word in ("-o", "=".join(pair))]
        self._get("update")

    def named(self, pattern: str) -> list[str]:
        """Find packages by a pattern of their names."""
        words = ["apt-cache", *self._options, "search", "--names-only", pattern]
        return [line.split()[0] for line in run(words).splitlines()]

    def depends(self, package: str) -> str:
        """Ask what a package depends on, in apt's words."""
        return run(["apt-cache", *self._options, "depends", package])

    def unpacked(self, *packages: str, closed: bool = False) -> Path:
        """Unpack packages into a tree; ``closed``: with all that they depend on."""
        tree = self.folder / "tree"
        tree.mkdir(exist_ok=True)
        if closed:
            self._get("install", "-y", "--no-install-recommends", "--download-only", *packages)
        else:
            self._get("download", *packages)
        for package in (*self.folder.glob("*.deb"), *self.folder.glob("archives/*.deb")):
            run(["dpkg-deb", "-x", str(package), str(tree)])
        return tree

    def _get(self, *words: str) -> None:
        run(["apt-get", "-q", *self._options, *words], cwd=self.folder)


def cache() -> Path:
    """Where what was downloaded is kept."""
    of_user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(of_user) / "netplan-tproxy" / "kernels"


def obtain(name: str, make: Callable[[Path, Path], None]) -> Path:
    """Take a folder from the cache, or let it be made, once. Raises UnavailableError.

    ``make`` is given a folder to work in, which goes, and the folder to fill.
    """
    with _locked(name):
        with contextlib.suppress(UnavailableError):
            return kept(name)
        with tempfile.TemporaryDirectory(dir=cache(), prefix=f"{name}.") as aside:
            ready = Path(aside) / "ready"
            ready.mkdir()
            try:
                make(Path(aside), ready)
            except UnavailableError as reason:
                _why(name).write_text(f"{reason}\n")
                raise
            _why(name).unlink(missing_ok=True)
            ready.rename(cache() / name)
    return kept(name)


def kept(name: str) -> Path:
    """Take it from the cache. Raises UnavailableError: with the reason that obtain() met."""
    place = cache() / name
    if place.is_dir():
        return place
    reason = _why(name).read_text().strip() if _why(name).exists() else "nobody has fetched it"
    raise UnavailableError(reason)


def _why(name: str) -> Path:
    return cache() / f"{name}.unavailable"


@contextlib.contextmanager
def _locked(name: str) -> Iterator[None]:
    """One download of it at a time."""
    try:
        cache().mkdir(parents=True, exist_ok=True)
        lock = (cache() / f"{name}.lock").open("w")
    except OSError as error:
        raise UnavailableError(f"the cache: {error}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _mirror() -> str:
    """Where this machine has its Debian packages from."""
    words = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(SITE)"]
    sites = [line.split() for line in run([*words, "Created-By: Packages"]).splitlines()]
    for site in sites:
        if site[:-1] == ["Debian", "Debian"]:
            return site[-1]
    raise UnavailableError("apt knows no mirror of Debian here")


def run(words: list[str], cwd: Path | None = None) -> str:
    """Run a program: what it prints. Raises UnavailableError with its last words."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            words, cwd=cwd, capture_output=True, text=True, timeout=_LIMIT, check=False,
            env=environment, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{words[0]}: {error}") from error
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()
        causes = [line for line in lines if "Failed to fetch" in line]
        raise UnavailableError(f"{words[0]}: {(causes or lines)[-1]}")
    return done.stdout
