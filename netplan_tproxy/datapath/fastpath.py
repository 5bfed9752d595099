"""The fast path as seen from user space: its programs, its maps, its counters. Pure.

The layouts mirror the tables declared in bpf/fastpath/; a test compares them with what the
compiler sees.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from netplan_tproxy.datapath.layouts import MapLayout
from netplan_tproxy.kernel.bpf.layout import (
    ARRAY,
    HASH,
    LRU_HASH,
    NO_PREALLOC,
    PERCPU_ARRAY,
    SK_STORAGE,
    SOCKHASH,
)

SOURCE = "fastpath.c"
SOCKOPS, MSG = "fast_sockops", "fast_msg"

# What became of sockets and messages, in the order of enum fast_outcome.
OUTCOMES = (
    "enrolled_client", "enrolled_proxy", "messages", "bytes", "demoted_budget",
    "demoted_no_peer", "demoted_forgotten", "demoted_off", "left_half_closed",
    "left_demoted", "refused_early_data", "refused_mptcp", "refused_no_memory", "refused_full",
)  # fmt: skip

_NAME, _HALF, _END = 48, 24, 8
# Where struct pair tells which of its ends take part.
INSIDE, INSIDE_AT = struct.Struct("=II"), _NAME + 2 * _HALF
_PAIR = INSIDE_AT + INSIDE.size
# How many connections take part at most. A pin's name holds the size of its map: with another
# one, those that take part would be put aside. So it is not in the site file.
MOST_CONNECTIONS = 65536
_CONFIG = struct.Struct("=QQ")
COUNTS = struct.Struct("=16Q")

NAMES = MapLayout("names", LRU_HASH, _NAME, 8, 65536)
PAIRS = MapLayout("pairs", HASH, 8, _PAIR, MOST_CONNECTIONS)
CLAIMS = MapLayout("claims", LRU_HASH, _END, 4, 2 * MOST_CONNECTIONS)
MEMBERS = MapLayout("members", SK_STORAGE, 4, 16, 0, NO_PREALLOC)
# With values of 8 bytes user space reads the sockets' cookies.
SOCKS = MapLayout("socks", SOCKHASH, _END, 8, 2 * MOST_CONNECTIONS)
CONFIG = MapLayout("fast_config", ARRAY, 4, _CONFIG.size, 1)
COUNTERS = MapLayout("fast_counters", PERCPU_ARRAY, 4, COUNTS.size, 1)
MAPS = (NAMES, PAIRS, CLAIMS, MEMBERS, SOCKS, CONFIG, COUNTERS)


class Type(NamedTuple):
    """enum bpf_prog_type, and the enum bpf_attach_type that is expected of it."""

    program: int
    attach: int


# BPF_PROG_TYPE_SOCK_OPS on BPF_CGROUP_SOCK_OPS, BPF_PROG_TYPE_SK_MSG on BPF_SK_MSG_VERDICT.
TYPES = {SOCKOPS: Type(13, 3), MSG: Type(16, 7)}


@dataclass(frozen=True)
class ConfigValue:
    """``struct fast_config``: a set of ports (0: all), and a budget in bytes (0: off)."""

    ports: int
    budget: int

    def pack(self) -> bytes:
        """Give it as the programs read it."""
        return _CONFIG.pack(self.ports, self.budget)


def unpack_config(value: bytes) -> ConfigValue:
    """Read ``struct fast_config`` back. Raises struct.error for another size."""
    return ConfigValue(*_CONFIG.unpack(value))
