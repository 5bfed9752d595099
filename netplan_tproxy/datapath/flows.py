"""Live intercepted connections: the proxy's sockets whose own address is somebody else's."""

from __future__ import annotations

import ipaddress
import sys
import time
from dataclasses import dataclass

from netplan_tproxy.datapath.layouts import FLOW_VERDICT, TRACKED
from netplan_tproxy.datapath.pinned_maps import PinnedMaps
from netplan_tproxy.kernel.netlink.addresses import own_addresses
from netplan_tproxy.kernel.netlink.route_get import way_to
from netplan_tproxy.kernel.sockets.diag import Socket
from netplan_tproxy.kernel.sockets.established import Within, established, sample, sockets_in_use

_VERDICT_MASK, _INTERCEPT = 3, 2  # enum verdict in bpf/common/socket_verdict.h
_PROTOCOL_AT = 36
_UDP = 17
# bpf/tproxy/flow_age.h: how long a flow lives that no socket of this host bounds.
_TICK = 2**30 / 1e9
_UNANSWERED, _ANSWERED, _STREAM = (int(seconds / _TICK) for seconds in (30, 120, 3))
_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
_MAPPED = "::ffff:"
_MOST_ASKED = 250
# Of more sockets so many of each family stand for all.
_MOST_READ, _SAMPLE = 120_000, 30_000


@dataclass(frozen=True)
class Tracked:
    """How many flows without a socket of their own the programs remember."""

    intercepted: int = 0
    bypassed: int = 0


@dataclass(frozen=True)
class Intercepted:
    """The intercepted TCP connections: how many, and some of them.

    Their local end is where the client wanted to go, their remote end is the client. Those of
    other transparent proxies are among them. ``sampled``: not each was looked at.
    """

    count: int
    listed: tuple[Socket, ...]
    sampled: bool = False


def intercepted_connections(most_listed: int) -> Intercepted:
    """Read the established TCP sockets whose own address is not one of this host's.

    The kernel leaves out those with an address of a device; of others the routes tell, as a
    whole network can be local. They are asked for the commonest addresses; where there are
    more, the rest is taken to be as these are. Of very many sockets a sample is read. Raises
    KernelError.
    """
    own = [*_LOOPBACK, *own_addresses()]
    in_use = sockets_in_use()
    sampled = sum(in_use.values()) > _MOST_READ
    some = sample(own, in_use, _SAMPLE) if sampled else established(own)
    local: set[bytes] = set()
    weighed = asked = ours = 0.0
    for index, (packed, number) in enumerate(some.by_address.most_common()):
        weight = number * some.weights[len(packed)]
        weighed += weight
        if index < _MOST_ASKED:
            asked += weight
            address = str(ipaddress.ip_address(packed))
            if way_to(address.removeprefix(_MAPPED)).type == "local":
                local.add(packed)
                ours += weight
    count = round(weighed * (1 - ours / asked)) if asked else 0
    is_own = Within(own)
    listed = some.first(most_listed, lambda one: one not in local and not is_own(one))
    return Intercepted(count, tuple(listed), sampled or asked < weighed)


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
