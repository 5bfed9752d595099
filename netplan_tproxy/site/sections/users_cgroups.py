"""The names of users and cgroups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netplan_tproxy.system.text import shown

if TYPE_CHECKING:
    from netplan_tproxy.site.yaml.nodes import Scalar

CGROUP_LEVELS = 12  # as in bpf/tproxy/policy.h: no deeper one is looked at
_LARGEST_UID = 0xFFFFFFFE  # the one above means "no user"
_LONGEST_PART = 255


def parse_user(item: Scalar) -> str:
    """Return a user's name, or number in decimal.

    Raises ValueError with the end of a message.
    """
    text = str(item.value)
    if not (text.isascii() and text.isdecimal()):
        return text
    number = int(text)
    if number > _LARGEST_UID:
        message = f"{shown(item.text)} is not a user's number from 0 to {_LARGEST_UID}"
        raise ValueError(message)
    return str(number)


def parse_cgroup(text: str) -> str:
    """Return a cgroup's path within the cgroup2 mount.

    Raises ValueError with the end of a message.
    """
    if not text.startswith("/"):
        message = f"{shown(text)} does not start with '/', expected something like '/system.slice'"
        raise ValueError(message)
    if f"{text}/".startswith("/sys/fs/cgroup/"):
        right = text.removeprefix("/sys/fs/cgroup").removeprefix("/unified") or "/system.slice"
        message = f"{shown(text)} is a path of the host, expected within cgroup2: {shown(right)}"
        raise ValueError(message)
    parts = text.split("/")[1:] if text != "/" else []
    if any(part in ("", ".", "..") for part in parts):
        message = (
            f"{shown(text)} has an empty or '..' part, expected something like '/system.slice'"
        )
        raise ValueError(message)
    if any(len(part.encode()) > _LONGEST_PART or not part.isprintable() for part in parts):
        message = f"{shown(text)} is not a cgroup's path such as '/system.slice'"
        raise ValueError(message)
    return text


def parse_bypass_cgroup(item: Scalar) -> str:
    """Return the path of a cgroup that can be told apart from all others.

    Raises ValueError with the end of a message.
    """
    path = parse_cgroup(str(item.value))
    if path == "/":
        message = "'/' holds every process, expected a cgroup below such as '/system.slice'"
        raise ValueError(message)
    if path.count("/") > CGROUP_LEVELS:
        message = f"{shown(path)} is more than {CGROUP_LEVELS} levels deep, expected one above"
        raise ValueError(message)
    return path
