"""``make deb``: build the package in a clean root of Debian 13, and let lintian read it.

Debian 13 is the oldest release whose hatchling reads our pyproject.toml. What comes of it is for
all of them: the package holds nothing but Python, C and text.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.distros.root import Root
from tests.paths import ROOT

OUT = ROOT / "build" / "deb"
_SUITE = "trixie"
_PACKAGES = ("dpkg-dev", "fakeroot", "lintian")


def build() -> list[Path]:
    """Build it, and give the files that came of it. Raises CalledProcessError."""
    shutil.rmtree(OUT, ignore_errors=True)
    tree = OUT / "netplan-tproxy"
    copy(tree)
    shutil.copytree(ROOT / "packaging" / "debian", tree / "debian")
    root = Root(_SUITE, "deb")
    root.install(*_PACKAGES)
    script = (
        "cd /build/netplan-tproxy\n"
        "apt-get -q -y --no-install-recommends build-dep .\n"
        "dpkg-buildpackage -us -uc\n"
        "lintian --allow-root --info --fail-on error,warning ../*.changes\n"
    )
    try:
        print(root.run(script, {OUT: "/build"}).stdout)
    finally:
        root.remove()
        shutil.rmtree(tree, ignore_errors=True)
    return sorted(path for path in OUT.iterdir() if path.is_file())


def copy(tree: Path) -> None:
    """Copy what belongs to the project, or would if it were added."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)


if __name__ == "__main__":
    try:
        for path in build():
            print(path.relative_to(ROOT))
    except subprocess.CalledProcessError as failure:
        print(failure.output)
        sys.exit(1)
