"""What is wrong with a command line, in one line. Pure."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from netplan_tproxy.commands.options import (
    APPLY,
    CHECK,
    COMMIT,
    DOCTOR,
    DRY_RUN,
    EXPLAIN,
    INSTALL_SERVICE,
    ROLLBACK,
    STATUS,
)

_PLANS = (APPLY, DRY_RUN, CHECK)
_READS = (*_PLANS, STATUS, DOCTOR, INSTALL_SERVICE)
_KEEPS = (*_PLANS, COMMIT, ROLLBACK, STATUS, EXPLAIN, DOCTOR)
_ALL = (*_KEEPS, INSTALL_SERVICE)
# Where each option does something, by the name of its attribute.
_GOES_WITH: dict[str, tuple[str, tuple[str, ...]]] = {
    "site": ("a site file", _READS),
    "destroy": ("--destroy", _PLANS),
    "confirm": ("--confirm", (APPLY,)),
    "detach": ("--detach", (APPLY,)),
    "probe": ("--probe", (APPLY,)),
    "adopt": ("--adopt", (*_PLANS, ROLLBACK, INSTALL_SERVICE)),
    "replace": ("--replace", _PLANS),
    "state_dir": ("--state-dir", _KEEPS),
    "no_cache": ("--no-cache", (APPLY, CHECK)),
    "lock_timeout": ("--lock-timeout", (APPLY, COMMIT, ROLLBACK)),
    "diff": ("--diff", _PLANS),
    "json": ("--json", _ALL),
    "watch": ("--watch", (STATUS,)),
    "device": ("--from", (EXPLAIN,)),
    "source": ("--source", (EXPLAIN,)),
    "user": ("--user", (EXPLAIN,)),
    "cgroup": ("--cgroup", (EXPLAIN,)),
    "mark": ("--mark", (EXPLAIN,)),
    "udp": ("--udp", (EXPLAIN,)),
    "root": ("--root", (INSTALL_SERVICE,)),
}
_NOT_TO_DESTROY = ("adopt", "replace", "no_cache")


def idle_option(args: argparse.Namespace, command: str) -> str:
    """Return what is wrong with options that would do nothing; "" where all do something."""
    for name, (option, commands) in _GOES_WITH.items():
        if command not in commands and _given(args, name):
            return f"{option} does nothing with {_mode(command)}: it goes with {_listed(commands)}"
    if args.destroy:
        for name in _NOT_TO_DESTROY:
            if _given(args, name):
                return f"{_GOES_WITH[name][0]} does nothing with --destroy"
    if args.detach and args.confirm is None:
        return "--detach does nothing without --confirm"
    return ""


def superfluous(rest: Sequence[str], known: Iterable[str]) -> str:
    """Return what is wrong with arguments that no option takes; ``known``: all options."""
    for word in rest:
        name = word.partition("=")[0]
        if len(name) > 1 and name.startswith("-"):
            guess = _likeness(name, list(known))
            hint = f"did you mean {guess}?" if guess else "--help lists those there are"
            return f"there is no option {name}: {hint}"
    return f"{' '.join(rest)}: one argument too many, as a run takes one site file"


def worded(message: str) -> str:
    """Return a message of argparse as this program says it."""
    message = re.sub(r"^argument (?:-\w/)?(--[\w-]+): ", r"\1: ", message)
    message = re.sub(r": not allowed with argument (--[\w-]+)$", r" does not go with \1", message)
    return re.sub(r": expected one argument$", " needs a value", message)


def _likeness(name: str, known: Sequence[str]) -> str:
    begun = [one for one in known if len(name) > len("--") and one.startswith(name)]
    return next(iter([*begun, *get_close_matches(name, known, n=1)]), "")


def _given(args: argparse.Namespace, name: str) -> bool:
    value = getattr(args, name)
    return not (value is None or value is False or value == [])  # 0 is given


def _mode(command: str) -> str:
    return "an apply" if command == APPLY else f"--{command}"


def _listed(commands: Sequence[str]) -> str:
    *most, last = map(_mode, commands)
    return f"{', '.join(most)} and {last}" if most else last
