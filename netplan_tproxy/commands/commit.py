"""``--commit [RUN]``: keep the change that awaits its confirmation."""

from __future__ import annotations

from collections.abc import Callable

from netplan_tproxy.commands.held import named
from netplan_tproxy.commands.options import Environment, Options
from netplan_tproxy.errors import NothingPendingError, TooLateError
from netplan_tproxy.kernel.host.capabilities import require_privileges
from netplan_tproxy.kernel.host.netns import netns_cookie
from netplan_tproxy.kinds import all_kinds
from netplan_tproxy.state.state import State


def carry_out(options: Options, environment: Environment) -> int:
    """Keep it. Raises TproxyError where nothing awaits its confirmation."""
    require_privileges()
    state = State(options.state_dir, netns_cookie(), all_kinds())
    commit(state, options.lock_timeout, environment.reporter.say, options.run)
    return 0


def commit(state: State, lock_timeout: float, say: Callable[[str], None], run: str = "") -> None:
    """Confirm the pending change; if ``run`` is named, only that one. Raises TproxyError."""
    with state.lock(lock_timeout):
        pending = named(state, run)
        if pending is None:
            message = "nothing awaits its confirmation"
            raise NothingPendingError(message)
        if pending.left <= 0 and pending.watchdog.alive:
            message = "too late: the change is going back at this moment"
            raise TooLateError(message)
        state.confirm(pending)
    say("confirmed")
