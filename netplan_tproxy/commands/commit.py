"""``--commit [RUN]``: keep the change that waits for confirmation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from netplan_tproxy.commands.held import named
from netplan_tproxy.commands.options import Environment, Options
from netplan_tproxy.errors import NothingPendingError, TooLateError
from netplan_tproxy.kernel.host.capabilities import require_privileges
from netplan_tproxy.kernel.host.netns import netns_cookie
from netplan_tproxy.kinds import all_kinds
from netplan_tproxy.reconcile.outcome import APPLIED
from netplan_tproxy.state.state import State


def carry_out(options: Options, environment: Environment) -> int:
    """Keep it. Raises TproxyError where nothing is waiting for confirmation."""
    require_privileges()
    state = State(options.state_dir, netns_cookie(), all_kinds())
    confirming = partial(_for_good, environment)
    commit(state, options.lock_timeout, environment.reporter.say, options.run, confirming)
    return 0


def commit(
    state: State,
    lock_timeout: float,
    say: Callable[[str], None],
    run: str = "",
    confirming: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> None:
    """Confirm the pending change; if ``run`` is named, only that one. Raises TproxyError.

    ``confirming`` encloses the moment from which on it stays.
    """
    with state.lock(lock_timeout):
        pending = named(state, run)
        if pending is None:
            message = "nothing is waiting for confirmation"
            raise NothingPendingError(message)
        if pending.left <= 0 and pending.watchdog.alive:
            message = "too late: the change is being undone"
            raise TooLateError(message)
        with confirming():
            state.confirm(pending)
    say("confirmed")


@contextmanager
def _for_good(environment: Environment) -> Iterator[None]:
    """Let no signal come between the confirmation and what is said of it, nor after it."""
    with environment.interrupts.shielded():
        yield
        environment.outcome.now = APPLIED
        environment.interrupts.over()
