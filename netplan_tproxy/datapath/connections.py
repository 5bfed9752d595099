"""The TCP connections that our programs gave to the proxy, as the sockets that are their ends."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from netplan_tproxy.datapath.layouts import FLOW_VERDICT, FLOWS, TRACKED
from netplan_tproxy.datapath.pinned_maps import PinnedMaps
from netplan_tproxy.kernel.bpf.dump import entries
from netplan_tproxy.kernel.sockets.diag import Socket, sockets
from netplan_tproxy.kernel.sockets.storage import stored

# enum verdict in bpf/common/socket_verdict.h, and where struct socket_verdict has it.
_INTERCEPT, _VERDICT = 2, slice(18, 20)
_MAPPED = "::ffff:"
# Neither LISTEN nor CLOSE (include/net/tcp_states.h); who is in TIME_WAIT has nothing to say.
_STATES = (1, 2, 3, 4, 5, 8, 9, 11)


class Ends(NamedTuple):
    """The client's address and port, and where it wanted to go."""

    client: str
    port: int
    target: str
    target_port: int

    @property
    def family(self) -> int:
        """That of its packets."""
        return socket.AF_INET6 if ":" in self.client else socket.AF_INET


@dataclass(frozen=True)
class Connection:
    """``near`` is the client's socket, None for one behind this host; ``far`` is the proxy's."""

    ends: Ends
    near: Socket | None
    far: Socket | None

    @property
    def sockets(self) -> list[Socket]:
        """Those of this host; the proxy's first, whose reset tells the client."""
        return [one for one in (self.far, self.near) if one is not None]


def live_connections(maps: PinnedMaps) -> list[Connection]:
    """Read them, and no others: connections of another transparent proxy have no verdict of ours.

    The maps may be held or pinned. One that comes from behind is known as long as ``tracked`` has
    it. Raises KernelError.
    """
    near = dict(_of_this_host(maps))
    behind = set(_from_behind(maps))
    if not near and not behind:
        return []
    known = near.keys() | behind
    far = {
        ends: one
        for family in (socket.AF_INET, socket.AF_INET6)
        for one in sockets("tcp", family, *_STATES)
        if (ends := _ends(one.remote, one.remote_port, one.local, one.port)) in known
    }
    seen = near.keys() | far.keys()
    return [Connection(ends, near.get(ends), far.get(ends)) for ends in seen]


def _of_this_host(maps: PinnedMaps) -> Iterator[tuple[Ends, Socket]]:
    flows = maps.held_or_pinned(FLOWS.pin)
    for family in (socket.AF_INET, socket.AF_INET6) if flows is not None else ():
        for one, value in stored(family, _STATES, int(flows or -1)):
            if int.from_bytes(value[_VERDICT], sys.byteorder) == _INTERCEPT:
                yield _ends(one.local, one.port, one.remote, one.remote_port), one


def _from_behind(maps: PinnedMaps) -> Iterator[Ends]:
    tracked = maps.held_or_pinned(TRACKED.pin)
    for key, value in entries(tracked) if tracked is not None else ():
        if int.from_bytes(key[36:40], sys.byteorder) != socket.IPPROTO_TCP:
            continue
        if FLOW_VERDICT.unpack(value)[0] == _INTERCEPT:
            client, target = (str(ipaddress.IPv6Address(key[at : at + 16])) for at in (0, 16))
            ports = (int.from_bytes(key[at : at + 2], "big") for at in (32, 34))
            yield _ends(client, next(ports), target, next(ports))


def _ends(client: str, port: int, target: str, target_port: int) -> Ends:
    return Ends(_plain(client), port, _plain(target), target_port)


def _plain(address: str) -> str:
    """Give an IPv4 address that is written as IPv6 as what it is."""
    if not address.startswith(_MAPPED):
        return address
    return str(ipaddress.IPv6Address(address).ipv4_mapped or address)
