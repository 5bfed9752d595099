"""What is tried in one release: that the package installs, works, is upgraded and goes again."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.distros import deb
from tests.distros.root import PLACE, Root

# What a person has who has just installed the package.
_FIRST = """
apt-get -q -y --no-install-recommends install /deb/netplan-tproxy_*.deb
tproxy-apply --version
test -d /etc/netplan-tproxy
for page in tproxy-apply tproxy-relay; do test -e /usr/share/man/man8/$page.8.gz || exit 1; done
test -x /usr/sbin/tproxy-relay
test -e /lib/systemd/system/tproxy-apply.service
"""
_VERSIONS = {
    "python": "python3", "bcc": "python3-bpfcc", "libbpf": "libbpf1",
    "pyroute2": "python3-pyroute2", "jsonschema": "python3-jsonschema", "yaml": "python3-yaml",
}  # fmt: skip
_TRIED = ("curl", "iproute2", "netbase", "nftables", "procps", "tcpdump")
_FOR_TESTS = ("autopkgtest", "dpkg-dev", "dpkg-repack", "python3-venv", "python3-hypothesis")
# Of the same version everywhere, as Debian 12 has one that is too old.
_PYTEST = ("pytest>=8.3,<10", "pytest-timeout", "pytest-xdist")
SLICE = (
    "tests/datapath/test_layout.py",
    "tests/datapath/test_older.py",
    "tests/datapath/test_untouched.py",
    "tests/datapath/test_verifier.py",
    "tests/relay",
    "tests/transactions/test_adopt.py",
)
# All files but what apt and dpkg keep of their own, and what is no file of the root.
_OF_OTHERS = (
    "/var/lib/dpkg", "/var/lib/apt", "/var/log", "/var/cache/apt", "/var/cache/debconf",
    "/var/cache/ldconfig", "/deb",
)  # fmt: skip
_PRUNED = " -o ".join(f"-path {one}" for one in _OF_OTHERS)
_FILES = rf"find / -xdev \( {_PRUNED} \) -prune -o -print | sort"
_OURS = "netplan.tproxy|tproxy.(apply|relay)"


@dataclass
class Release:
    """A release of Debian."""

    name: str
    suite: str
    result: dict[str, Any] = field(default_factory=dict)

    def tried(self) -> dict[str, Any]:
        """Try everything in it, and give what came of it."""
        root = Root(self.suite, re.sub(r"\W+", "-", self.name))
        self.result = {"name": self.name}
        try:
            self._try("installs", root, _FIRST)
            self._purged(root)
            self.result["versions"] = _versions(root)
            root.install(*_TRIED, *_FOR_TESTS)
            self._autopkgtest(root)
            self._pytest(root)
        finally:
            root.remove()
        return self.result

    def _try(self, what: str, root: Root, script: str) -> str:
        done = root.run(script, {deb.OUT: "/deb"}, check=False, minutes=20)
        said = done.stdout
        self.result[what] = done.returncode == 0
        if done.returncode:
            print(said[-6000:], file=sys.stderr)
        return said

    def _purged(self, root: Root) -> None:
        """Purge it after use: what is left over a root with all that it depends on."""
        again = "apt-get -q -y --no-install-recommends install /deb/netplan-tproxy_*.deb >/dev/null"
        purge = "apt-get -q -y purge netplan-tproxy >/dev/null"
        used = (
            "tproxy-apply --completion bash >/dev/null; "
            "echo 'version: 1' >/etc/netplan-tproxy/site.yaml"
        )
        script = (
            f"{purge}; {_FILES} >/run/before\n{again}; {used}; {purge}; {_FILES} >/run/after\n"
            "{ diff /run/before /run/after || true; "
            f"grep -E '{_OURS}' /run/after || true; }} | sed 's/^/left: /'\n{again}"
        )
        said = self._try("purges", root, script)
        left = [line for line in said.splitlines() if line.startswith("left: ")]
        print("\n".join(left), file=sys.stderr)
        self.result["purges"] = self.result["purges"] and not left

    def _autopkgtest(self, root: Root) -> None:
        script = (
            "autopkgtest -B /deb/*.deb /deb/*.dsc --output-dir /tmp/out -- null || true\n"
            "cat /tmp/out/summary"
        )
        said = root.run(script, {deb.OUT: "/deb"}, minutes=20).stdout
        for test in ("demo", "upgrade"):
            passed = re.search(rf"^{test}\s+PASS$", said, re.MULTILINE) is not None
            claims = re.findall(r"all (\d+) claims held", said)
            self.result[test] = passed and len(claims) >= 1
            if not passed:
                print(said[-8000:], file=sys.stderr)

    def _pytest(self, root: Root) -> None:
        pip = "/opt/tests/bin/pip -q install --no-index --find-links /wheels"
        pytest = "/opt/tests/bin/python -m pytest -q -n 2 -p no:cacheprovider --examples 5"
        script = (
            "python3 -m venv --system-site-packages /opt/tests\n"
            f"{pip} pytest pytest-timeout pytest-xdist\n"
            "cp -r /tree /opt/tree; cd /opt/tree; rm -r netplan_tproxy\n"
            f"{pytest} {' '.join(SLICE)}\n"
        )
        places = {deb.OUT: "/deb", wheels(): "/wheels", tree(): "/tree"}
        said = root.run(script, places, check=False, minutes=30).stdout
        last = said.splitlines()[-1]
        found = re.findall(r"(\d+) (passed|failed|skipped|error)", last)
        counted = {word: int(number) for number, word in found}
        self.result["tests"] = counted
        if counted.keys() - {"passed", "skipped"} or not counted:
            print(said[-8000:], file=sys.stderr)


def _versions(root: Root) -> dict[str, str]:
    names = " ".join(_VERSIONS.values())
    said = root.run(f"dpkg-query -W -f '${{Package}} ${{Version}}\\n' {names}").stdout
    there = dict(line.split() for line in said.splitlines())
    return {what: _upstream(there[name]) for what, name in _VERSIONS.items() if name in there}


def _upstream(version: str) -> str:
    return re.split(r"[-+~]", version.partition(":")[2] or version)[0]


def too_old() -> dict[str, Any]:
    """Debian 11, whose Python is too old: what a checkout and pip say there."""
    root = Root("bullseye", "too-old")
    try:
        root.install("python3-minimal", "python3-pip")
        places = {tree(): "/tree", wheel().parent: "/wheel"}
        begun = root.run("cd /tree && python3 -m netplan_tproxy --version", places, check=False)
        pip = "python3 -m pip install --no-index --no-deps /wheel/*.whl"
        installed = root.run(pip, places, check=False)
    finally:
        root.remove()
    pip_says = [line for line in installed.stdout.splitlines() if line.startswith("ERROR")]
    return {
        "name": "Debian 11",
        "refused": bool(begun.returncode and installed.returncode),
        "says": begun.stdout.strip(),
        "pip_says": pip_says,
    }


def tree() -> Path:
    """Give a copy of this project."""
    place = PLACE / "tree"
    if not place.is_dir():
        deb.copy(place)
    return place


def wheel() -> Path:
    """Build the wheel from the copy, and give it."""
    place = PLACE / "wheel"
    shutil.rmtree(place, ignore_errors=True)
    words = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*words, "-w", str(place), str(tree())], check=True, timeout=600)
    return next(place.glob("*.whl"))


def wheels() -> Path:
    """Give pytest and what it needs, of pip as this machine has it."""
    place = PLACE / "wheels"
    if not place.is_dir():
        words = [sys.executable, "-m", "pip", "download", "-q", "-d", str(place)]
        subprocess.run([*words, *_PYTEST], check=True, timeout=600)
    return place
