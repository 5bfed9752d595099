"""Running checks before and after a change.

A check that passed before must pass after; one that failed before is ignored.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from netplan_tproxy.checks.icmp import answers
from netplan_tproxy.checks.interception import ARRIVES, passage
from netplan_tproxy.errors import KernelError, TproxyError
from netplan_tproxy.site.model import Check
from netplan_tproxy.system.programs import environment, find

TRIES = 3
_PAUSE = 0.5


def asked_before(checks: Sequence[Check], say: Callable[[str], None]) -> Callable[[], None]:
    """Run the checks now; return a function that runs those that passed again.

    It raises TproxyError if one fails then. ``say`` gets a line for each that fails now.
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
    """Return the checks that pass now; each is tried once."""
    return [check for check in checks if passes(check)]


def failing(checks: Sequence[Check]) -> list[Check]:
    """Return the checks that fail, each tried ``TRIES`` times: ARP may be slow."""
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
    probe = {"tcp": _connects, "ping": _pings, "intercepted": _is_intercepted, "dns": _resolves}
    return probe.get(check.kind, _command_passes)(check)


def _connects(check: Check) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(_end(check.target), timeout=check.timeout).close()
        return True
    return False


def _pings(check: Check) -> bool:
    return answers(check.target, check.timeout)


def _is_intercepted(check: Check) -> bool:
    with contextlib.suppress(KernelError):
        return passage("tcp", _end(check.target), check.timeout).fate == ARRIVES
    return False


def _resolves(check: Check) -> bool:
    # getaddrinfo(3) takes no timeout; a process can be killed.
    getent = find("getent")
    if getent is None:
        return False
    return _runs([getent, "ahosts", check.target], check.timeout, environment())


def _command_passes(check: Check) -> bool:
    # A command is the administrator's own, and so is the environment it runs in.
    return _runs(["/bin/sh", "-c", check.target], check.timeout, None)


def _end(target: str) -> tuple[str, int]:
    host, _, port = target.rpartition(":")
    return host.strip("[]"), int(port)


def _runs(command: Sequence[str], timeout: float, told: Mapping[str, str] | None) -> bool:
    nothing = subprocess.DEVNULL
    try:
        # A process group: its children are killed with it.
        child = subprocess.Popen(
            command, stdin=nothing, stdout=nothing, stderr=nothing, process_group=0, env=told
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
