"""The order in which resources are set up; they are taken down from the last to the first.

What receives traffic is there before what sends it there, and goes after it. A new kind
takes the place that suits it, or a line of its own.
"""

from __future__ import annotations

from enum import IntEnum, auto


class Rank(IntEnum):
    """A place in that order."""

    # The file system that holds all pins.
    BPFFS = auto()
    # How the proxy's packets get to it. Without a rule nobody asks for the routes.
    SYSCTL = auto()
    ROUTE = auto()
    RULE = auto()
    # What programs refer to, and then the programs.
    MAP = auto()
    SET = auto()
    PROGRAM = auto()
    # Where programs attach.
    QDISC = auto()
    MESSAGES = auto()
    SOCKETS = auto()
    # ``lo`` takes in what the others send there. Without a config nothing is sent.
    FILTER_LO = auto()
    CONFIG = auto()
    FAST_CONFIG = auto()
    FILTER_INGRESS = auto()
    # What takes traffic of this host away.
    FILTER_EGRESS = auto()


def rank_of_hook(dev: str, hook: str) -> Rank:
    """Give the place of what runs a program of ours on a hook of a device."""
    if dev == "lo":
        return Rank.FILTER_LO
    return Rank.FILTER_INGRESS if hook == "ingress" else Rank.FILTER_EGRESS
