"""Roots of other Debian releases: made by mmdebstrap, entered by chroot(2), written to aside.

A root stays as mmdebstrap made it, with apt and what is essential: what a command writes goes to a
layer over it, which begins empty. How apt gets at its packages here (mirror, proxies) the root
takes from this machine.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.paths import ROOT

PLACE = ROOT / "build" / "distros"
_ENTER = Path(__file__).with_name("enter.sh")
_DEFAULT_MIRROR = "http://deb.debian.org/debian"
_SETTINGS = ("http", "https", "Check-Date", "Check-Valid-Until", "ForceIPv4", "Retries")
_MINUTES = 60


class Root:
    """A root of one release, with a layer that begins empty."""

    def __init__(self, suite: str, name: str) -> None:
        self.suite = suite
        self._base = base(suite)
        self._layer = PLACE / "layers" / name
        shutil.rmtree(self._layer, ignore_errors=True)
        self._archives = PLACE / "archives" / suite
        for folder in (self._layer, self._archives):
            folder.mkdir(parents=True, exist_ok=True)
        self.run("apt-get -q update", minutes=5)

    def run(
        self,
        script: str,
        places: Mapping[Path, str] | None = None,
        *,
        minutes: int = 10,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell script in it; ``places``: folders of this machine, and where it sees them.

        Raises CalledProcessError, with what the script said, unless ``check`` is False.
        """
        binds = {self._archives: "/var/cache/apt/archives", **(places or {})}
        words = [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--kill-child",
            "bash",
        ]
        words += [str(_ENTER), str(self._base), str(self._layer)]
        for here, there in binds.items():
            words += [str(here), there]
        done = subprocess.run(
            [*words, "--", "bash", "-euc", script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False, timeout=minutes * _MINUTES,
        )  # fmt: skip
        if check and done.returncode:
            raise subprocess.CalledProcessError(done.returncode, script, done.stdout)
        return done

    def install(self, *packages: str) -> None:
        """Install packages of the release, without those that are only recommended."""
        self.run(f"apt-get -q -y --no-install-recommends install {' '.join(packages)}")

    def remove(self) -> None:
        """Drop the layer; the root itself is kept for the next time."""
        shutil.rmtree(self._layer, ignore_errors=True)


def base(suite: str) -> Path:
    """Give the root of a release, which is made at the first time."""
    folder = PLACE / suite
    if not folder.is_dir():
        PLACE.mkdir(parents=True, exist_ok=True)
        aside = PLACE / f"{suite}.new"
        shutil.rmtree(aside, ignore_errors=True)
        settings = PLACE / "apt.conf"
        settings.write_text(_apt_settings())
        words = ["mmdebstrap", "--quiet", "--variant=apt", f"--aptopt={settings}",
                 "--dpkgopt=force-unsafe-io", suite]  # fmt: skip
        subprocess.run([*words, str(aside), mirror()], check=True, timeout=20 * _MINUTES)
        aside.rename(folder)
    return folder


def mirror() -> str:
    """Give the mirror that this machine's apt takes Debian's packages from."""
    words = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"]
    asked = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_MINUTES)
    return next(iter(asked.stdout.split()), _DEFAULT_MIRROR)


def _apt_settings() -> str:
    """Give what this machine's apt.conf(5) says of how to fetch."""
    words = ["apt-config", "dump", "--no-empty"]
    asked = subprocess.run(words, capture_output=True, text=True, check=True, timeout=_MINUTES)
    begins = tuple(f"Acquire::{name}" for name in _SETTINGS)
    lines = [line for line in asked.stdout.splitlines() if line.startswith(begins)]
    return "\n".join(['Acquire::Retries "5";', *lines, ""])
