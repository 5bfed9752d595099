"""Live intercepted connections: the proxy's sockets whose own address is somebody else's."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from netplan_tproxy.datapath.layouts import FLOW_VERDICT, TRACKED
from netplan_tproxy.datapath.pinned_maps import PinnedMaps
from netplan_tproxy.kernel.netlink.route_get import way_to
from netplan_tproxy.kernel.sockets.diag import ESTABLISHED, Socket, sockets

_VERDICT_MASK, _INTERCEPT = 3, 2  # enum verdict in bpf/common/socket_verdict.h
_PROTOCOL_AT = 36
_UDP = 17
# bpf/tproxy/flow_age.h: how long a flow lives that no socket of this host bounds.
_TICK = 2**30 / 1e9
_UNANSWERED, _ANSWERED, _STREAM = (int(seconds / _TICK) for seconds in (30, 120, 3))


@dataclass(frozen=True)
class Tracked:
    """How many flows without a socket of their own the programs remember."""

    intercepted: int = 0
    bypassed: int = 0


def intercepted_connections() -> Iterator[Socket]:
    """Give the established TCP sockets whose own address is not one of this host's.

    Their local end is where the client wanted to go, their remote end is the client.
    Those of other transparent proxies are among them. Raises KernelError.
    """

    @cache
    def is_ours(address: str) -> bool:
        return way_to(address).type == "local"

    for family in (socket.AF_INET, socket.AF_INET6):
        for one in sockets("tcp", family, ESTABLISHED):
            if not is_ours(one.local.removeprefix("::ffff:")):
                yield one


def tracked_datagrams(maps: PinnedMaps) -> Tracked:
    """Count the UDP flows that the programs have a verdict for. Raises KernelError."""
    intercepted = bypassed = 0
    for key, value in maps.entries(TRACKED.pin):
        if int.from_bytes(key[_PROTOCOL_AT:], sys.byteorder) != _UDP:
            continue
        entry, _, began, seen, _ = FLOW_VERDICT.unpack(value)
        if not entry & ~_VERDICT_MASK and _is_over(began, seen):
            continue
        verdict = entry & _VERDICT_MASK
        intercepted += verdict == _INTERCEPT
        bypassed += verdict != _INTERCEPT
    return Tracked(intercepted, bypassed)


def _is_over(began: int, seen: int) -> bool:
    now = time.monotonic_ns() >> 30
    return now - seen > (_ANSWERED if seen - began >= _STREAM else _UNANSWERED)
