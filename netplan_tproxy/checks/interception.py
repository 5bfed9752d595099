"""Whether what this host sends comes to the proxy, by sending it.

One packet takes the whole way: out by the interface, through ``lo``, netfilter and the routing
by mark, to the proxy's listener, and one comes back. Reading rules tells less: there are too
many that can be in the way, and ``nft`` does not show the values of those of iptables-nft.

Each ``Passage`` is certain of its own packet, whatever else is under way: the programs keep
their verdict with the socket that sent it. What the counters say besides is everybody's.

The listener that a SYN comes to is the proxy's. Another, of our own, would need a second
listener in the programs' configuration, and would say nothing of the proxy's: that it is not
transparent, say, or refused by bpf_sk_assign. The proxy itself does not notice: the handshake
stays half open (``kernel/sockets/knock.py``). A datagram would reach it, so there the far end
is ours.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from netplan_tproxy.datapath.counters import Counts, counters
from netplan_tproxy.datapath.layouts import CONFIG
from netplan_tproxy.datapath.pinned_maps import PinnedMaps
from netplan_tproxy.datapath.pins import Pins
from netplan_tproxy.datapath.verdicts import (
    BYPASS,
    End,
    flow_key,
    forget,
    verdict_on_connection,
    verdict_on_datagrams,
)
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.bpf.arrival import let_arrive
from netplan_tproxy.kernel.sockets.devices import station_of
from netplan_tproxy.kernel.sockets.frame import first_frame
from netplan_tproxy.kernel.sockets.knock import Heard, Knock
from netplan_tproxy.kernel.sockets.sink import sink

_SEQUENCE = 1
_PAUSE = 0.002

ARRIVES = "arrives"
NOT_SEEN = "not seen"  # by the programs of the interface
LET_OUT = "let out"  # by them
REFUSED = "refused"  # nobody listens
LOST = "lost"  # between lo and the proxy's socket
NO_ANSWER = "no answer"  # it arrives; what is sent back does not
NOT_SENT = "not sent"  # no way there, or nothing is set up


@dataclass(frozen=True)
class Passage:
    """What became of one packet; ``counted``: the outcomes that were counted meanwhile.

    ``why`` it was not sent, where it was not.
    """

    fate: str
    counted: tuple[str, ...] = ()
    why: str = ""


def passage(
    protocol: str,
    target: tuple[str, int],
    seconds: float,
    *,
    device: str = "",
    uid: int | None = None,
) -> Passage:
    """Send one packet from this host to ``target``, and see what becomes of it.

    ``device`` that the sender is bound to, "" for none; ``uid``: the user it counts as. It
    takes ``seconds`` at most. Raises KernelError where the kernel can't be asked.
    """
    maps = PinnedMaps(Pins())
    if CONFIG.pin not in maps.ids():
        return Passage(NOT_SENT, why="nothing is set up here")
    try:
        with Knock(protocol, target, device, uid) as knock:
            return _passage(maps, protocol, target, knock, seconds)
    except KernelError:
        raise
    except OSError as refusal:
        if refusal.errno == errno.EADDRNOTAVAIL:
            return Passage(NOT_SENT, why="this host has no address for that")
        return Passage(NOT_SENT, why=refusal.strerror or str(refusal))


def _passage(
    maps: PinnedMaps, protocol: str, target: tuple[str, int], knock: Knock, seconds: float
) -> Passage:
    key = flow_key(protocol, knock.source, target)
    before = counters(maps)
    forget(maps, key)  # of an earlier socket with the same port
    heard = knock.heard(seconds)
    verdict = (
        verdict_on_connection(maps, knock.near.fileno())
        if protocol == "tcp"
        else verdict_on_datagrams(maps, key)
    )
    forget(maps, key)
    rose = {outcome for (_, outcome) in _rose(before, counters(maps))}
    return Passage(judged(verdict, heard), tuple(sorted(rose)))


def _rose(before: Counts, after: Counts) -> Iterator[tuple[int, str]]:
    for place, count in after.items():
        if count != before.get(place):
            yield place


def passage_from_behind(
    protocol: str, source: End, target: End, device: str, seconds: float
) -> Passage:
    """Let a packet come in by ``device``, and see whether it gets where the proxy's would.

    It is as one of a machine with the address ``source`` behind this host. A socket of ours
    takes it and says nothing, as an answer would go out and look for that machine. So a
    connection shows how it is marked, filtered and routed here, and not that the listener is
    assigned. Raises TproxyError where the kernel can't be asked.
    """
    maps = PinnedMaps(Pins())
    if CONFIG.pin not in maps.ids():
        return Passage(NOT_SENT, why="nothing is set up here")
    key = flow_key(protocol, source, target)
    try:
        ifindex = socket.if_nametoindex(device)
        frame = first_frame(protocol, source, target, station_of(device), _SEQUENCE)
        with sink(protocol, target, source) as far:
            forget(maps, key)
            before = counters(maps)
            let_arrive(ifindex, frame)
            arrived = _within(seconds, far.has_something)
            after = counters(maps)
            forget(maps, key)
    except OSError as refusal:
        return Passage(NOT_SENT, why=refusal.strerror or str(refusal))
    rose = sorted(outcome for at, outcome in _rose(before, after) if at == ifindex)
    if arrived:
        fate = ARRIVES
    elif "intercepted" in rose:
        fate = LOST
    else:
        fate = REFUSED if "refused" in rose else NOT_SEEN
    return Passage(fate, tuple(rose))


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)
    return True


def judged(verdict: int, heard: Heard) -> str:
    """Say what became of a packet. Pure."""
    if not verdict:
        return NOT_SEEN
    if verdict == BYPASS:
        return LET_OUT
    if heard.refused:
        return REFUSED
    if heard.answered:
        return ARRIVES
    return NO_ANSWER if heard.arrived else LOST
