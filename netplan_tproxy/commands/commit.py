"""``--commit``: keep the change that awaits its confirmation."""

from __future__ import annotations

from netplan_tproxy.commands import confirm
from netplan_tproxy.commands.options import Environment, Options
from netplan_tproxy.kernel.host.capabilities import require_privileges
from netplan_tproxy.kernel.host.netns import netns_cookie
from netplan_tproxy.kinds import all_kinds
from netplan_tproxy.state.state import State


def carry_out(options: Options, environment: Environment) -> int:
    """Keep it. Raises TproxyError when nothing awaits its confirmation."""
    require_privileges()
    state = State(options.state_dir, netns_cookie(), all_kinds())
    confirm.commit(state, options.lock_timeout, environment.reporter.say)
    return 0
