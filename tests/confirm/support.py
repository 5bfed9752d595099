"""Runs that await their confirmation, in processes of their own, and what becomes of them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import subprocess
from typing import TYPE_CHECKING

from netplan_tproxy.system.process import started
from tests.lab import diff_snapshots
from tests.lab.host import Host
from tests.lab.patience import PATIENCE, eventually
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab import Snapshot


def watchdog_of(host: Host) -> int:
    """The process that will take the change back; 0 when there is none."""
    try:
        pid, begun = json.loads((host.state / "pending.json").read_text())["watchdog"]
    except FileNotFoundError:
        return 0
    return int(pid) if begun and started(pid) == begun else 0


def time_is_up(host: Host) -> None:
    """Let the deadline of what waits for confirmation be now.

    A test that would wait for it instead is only right on a machine that is fast enough.
    """
    path = host.state / "pending.json"
    beside = path.with_name("pending.test")
    beside.write_text(json.dumps({**json.loads(path.read_text()), "deadline": 0.0}))
    beside.replace(path)


@contextlib.contextmanager
def awaiting(
    host: Host, seconds: int, *options: str, **more: object
) -> Iterator[subprocess.Popen[str]]:
    """An apply of the site file that waits for its confirmation."""
    words = host.popen_words(str(host.site), "--confirm", str(seconds), *options)
    pipe = subprocess.PIPE
    settings = {"cwd": ROOT, "stdin": subprocess.DEVNULL, "stdout": pipe, "stderr": pipe, **more}
    run = host.namespace.popen(words, **settings)
    try:
        eventually(lambda: watchdog_of(host) != 0 or run.poll() is not None)
        # The watchdog says that it is there before the run has heard of it, and lets go.
        eventually(lambda: _lock_is_free(host) or run.poll() is not None)
        yield run
    finally:
        if run.poll() is None:
            run.kill()
        run.wait(PATIENCE)
        watchdog = watchdog_of(host)
        if watchdog:
            host.run("--rollback")


def _lock_is_free(host: Host) -> bool:
    with (host.state / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def ended(run: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code and its last words."""
    out, err = run.communicate(timeout=PATIENCE)
    return run.returncode, (err or out.splitlines()[-1] + "\n")


def is_as(host: Host, before: Snapshot) -> bool:
    return diff_snapshots(before, host.look()) == []
