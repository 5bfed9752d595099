"""What goes into a program and what comes of it, in the words of the model."""

from __future__ import annotations

from typing import NamedTuple

from tests.packet_model.wire import Packet

UNSPEC, OK, SHOT, REDIRECT = -1, 0, 2, 7
TO_PROXY, TO_CLIENT, AGAIN = 0x6E747001, 0x6E747002, 0x6E747003
CHECK = 0x70726F78
DATAGRAM, NEW = 2, 4
ETHERNET = 14

Cb = tuple[int, int, int, int, int]


class Input(NamedTuple):
    """A frame on its way into a program; ``came_by`` is the device it is forwarded from.

    ``protocol`` is what the device says it is; 0: it stands where Ethernet has it. ``vlan`` is
    the id of a tag that the kernel has taken off; 0: none, or one of a priority alone.
    """

    program: str
    frame: bytes
    ifindex: int
    mark: int = 0
    came_by: int = 0
    cb: Cb = (0, 0, 0, 0, 0)
    protocol: int = 0
    vlan: int = 0


class Verdict(NamedTuple):
    """What must come of it. ``counted``: (ifindex, outcome); ``change``: refused, framed or ""."""

    action: int
    counted: tuple[tuple[int, str], ...]
    mark: int
    cb: Cb
    change: str = ""
    packet: Packet | None = None


def handed_over(magic: int, target: int, ifindex: int = 0, flags: int = 0, rest: int = 0) -> Cb:
    """What one of our programs says of a packet that it sends in by ``target``."""
    return magic, ifindex, flags, CHECK ^ target ^ ifindex ^ flags, rest


def from_us(given: Input, magic: int) -> bool:
    """Whether one of our own programs has sent a packet in by this device."""
    return given.cb == handed_over(magic, given.ifindex, *given.cb[1:3], given.cb[4])


def taken(cb: Cb) -> Cb:
    """Nobody is to read it twice."""
    return 0, cb[1], cb[2], 0, cb[4]
