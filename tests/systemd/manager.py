"""A service manager of the tests' own: systemd's user instance, run as root and walled in.

It sandboxes services as the system's instance does, in a cgroup, pid and mount namespace that
end with it. ``python -m tests.systemd.manager UNIT SCRIPT`` runs a shell script beside it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.lab import cgroups, syscalls
from tests.lab.patience import PATIENCE
from tests.paths import ROOT

SYSTEMD = Path("/lib/systemd/systemd")
OUTPUT = "/run/output"
_RUNTIME = Path("/run/user/0")
_SECONDS = 60
# A checkout below /tmp would be hidden from the unit that is to run what is in it.
_TMP = any(ROOT.is_relative_to(path) for path in ("/tmp", "/var/tmp"))  # noqa: S108
_NO_PRIVATE_TMP = "PrivateTmp=no\nReadWritePaths=/tmp /var/tmp"
# The system's instance gives the unit /run/netplan-tproxy; this one would put it elsewhere.
_DROP_IN = f"""\
[Service]
RuntimeDirectory=
ReadWritePaths=/run/netplan-tproxy
Environment=PYTHONPATH={ROOT}
StandardOutput=append:{OUTPUT}
StandardError=append:{OUTPUT}
{_NO_PRIVATE_TMP if _TMP else ""}
"""


def outside(unit: str, script: str) -> int:
    text = Path(unit).read_text()
    words = ["unshare", "--cgroup", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    words += [sys.executable, "-m", "tests.systemd.manager", "--inside", unit, script]
    # A manager tidies up below the cgroup that it is in.
    with cgroups.cgroup() as path, cgroups.inside(path):
        return subprocess.run(
            words, input=text, text=True, timeout=_SECONDS, check=False, cwd=ROOT
        ).returncode


def inside(unit: str, script: str) -> int:
    text = sys.stdin.read()
    syscalls.mount("none", "/sys/fs/cgroup", "tmpfs")
    syscalls.mount("none", "/sys/fs/cgroup", "cgroup2")
    syscalls.mount("none", "/run", "tmpfs", data="mode=755")
    units = _RUNTIME / "systemd/user"
    drop_ins = units / f"{Path(unit).name}.d"
    for path in (drop_ins, Path("/run/systemd/system"), Path("/run/lock")):
        path.mkdir(parents=True)
    Path("/run/netplan-tproxy").mkdir(mode=0o700)
    (units / Path(unit).name).write_text(text)
    (drop_ins / "tests.conf").write_text(_DROP_IN)
    for place in (_RUNTIME, Path("/run")):
        _inaccessible(place / "systemd/inaccessible")
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(_RUNTIME), "HOME": "/root"}
    words = [str(SYSTEMD), "--user", "--unit=basic.target"]
    manager = subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE
        while not (_RUNTIME / "systemd/private").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        done = subprocess.run(["sh", "-c", script], env=environment, check=False, timeout=50)
    finally:
        manager.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            manager.wait(PATIENCE)
    return done.returncode


def _inaccessible(folder: Path) -> None:
    """What InaccessiblePaths= mounts over files; a booted system has them."""
    (folder / "dir").mkdir(parents=True)
    (folder / "reg").touch()
    for path in folder.iterdir():
        path.chmod(0)


def is_possible() -> str:
    """Why there can be none here; "" when there can."""
    roots = cgroups.roots()
    if not SYSTEMD.exists() or not shutil.which("systemctl"):
        return "needs systemd"
    if not roots or not os.access(roots[0] / "cgroup.procs", os.W_OK):
        return "needs a cgroup2 that can be written"
    return ""


if __name__ == "__main__":
    first, *rest = sys.argv[1:]
    sys.exit(inside(*rest) if first == "--inside" else outside(first, *rest))
