"""Ending what was started, and only that."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

_PATIENCE = 15.0


def inhabitants(inode: int) -> list[int]:
    """Processes other than this one in the network namespace with that inode."""
    wanted = f"net:[{inode}]"
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if (entry / "ns/net").readlink().name == wanted:
                found.append(int(entry.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def stop(target: subprocess.Popen[str] | int) -> None:
    """SIGTERM, then SIGKILL, then reap where it is a child."""
    if isinstance(target, int):
        _stop_stranger(target)
        return
    if target.poll() is None:
        target.terminate()
        try:
            target.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            target.kill()
            target.wait(_PATIENCE)
    for stream in (target.stdin, target.stdout, target.stderr):
        if stream is not None:
            stream.close()


def _stop_stranger(pid: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        if ends_within(pid, 1):
            return


def ends_within(pid: int, seconds: float) -> bool:
    """Wait until a process that need not be a child has ended."""
    deadline = time.monotonic() + seconds
    while _is_alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
