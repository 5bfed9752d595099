"""Does this host still work? Asked before a change and after it.

What passed before must pass after; what failed before says nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence

from netplan_tproxy.checks.icmp import answers
from netplan_tproxy.errors import TproxyError
from netplan_tproxy.site.model import Check

TRIES = 3
_PAUSE = 0.5


def asked_before(checks: Sequence[Check], say: Callable[[str], None]) -> Callable[[], None]:
    """Ask now; what is returned asks again, and raises TproxyError for one that fails by then.

    ``say`` is told which fail already.
    """
    passed = passing(checks)
    for check in checks:
        if check not in passed:
            say(f"= {check}: fails already, so it can't tell anything")

    def accept() -> None:
        failed = failing(passed)
        if failed:
            message = f"{failed[0]}: passed before the change and fails after it"
            raise TproxyError(message)

    return accept


def passing(checks: Iterable[Check]) -> list[Check]:
    """Give the checks that pass now; each is tried once."""
    return [check for check in checks if passes(check)]


def failing(checks: Sequence[Check]) -> list[Check]:
    """Give the checks that fail, each tried a few times: neighbours have to be learnt."""
    failed = list(checks)
    for attempt in range(TRIES):
        if attempt:
            time.sleep(_PAUSE)
        failed = [check for check in failed if not passes(check)]
        if not failed:
            break
    return failed


def passes(check: Check) -> bool:
    """Run one check, bounded by its ``timeout`` in seconds."""
    if check.kind == "tcp":
        host, _, port = check.target.rpartition(":")
        with contextlib.suppress(OSError):
            address = (host.strip("[]"), int(port))
            socket.create_connection(address, timeout=check.timeout).close()
            return True
        return False
    if check.kind == "ping":
        return answers(check.target, check.timeout)
    # The resolver of the C library knows no time limit of ours: a process can be ended.
    dns = ["getent", "ahosts", check.target]
    return _runs(dns if check.kind == "dns" else ["/bin/sh", "-c", check.target], check.timeout)


def _runs(command: Sequence[str], timeout: float) -> bool:
    nothing = subprocess.DEVNULL
    try:
        # A group of its own: what the command leaves behind ends with it.
        child = subprocess.Popen(
            command, stdin=nothing, stdout=nothing, stderr=nothing, process_group=0
        )
    except OSError:
        return False
    try:
        return child.wait(timeout + 1) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
