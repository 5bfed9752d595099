"""What a device loses when IPv6 is switched off on it, as messages that bring it back.

Those are its addresses, its permanent neighbours and its routes (addrconf_ifdown). What the
kernel or a router advertisement put there comes back by itself, or never should.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import NamedTuple

from netplan_tproxy.kernel.netlink.answer import HEADER, Reading
from netplan_tproxy.kernel.netlink.channel import CREATE, EXCL, REPLACE
from netplan_tproxy.kernel.netlink.request import Request, attribute, attributes
from netplan_tproxy.kernel.netlink.route_message import GETROUTE, NEWROUTE, restoring, split_hops
from netplan_tproxy.kernel.netlink.socket import Rtnetlink

_NEWADDR, _GETADDR = 20, 22
_NEWNEIGH, _GETNEIGH = 28, 30
_ADDRESS = struct.Struct("=BBBBI")  # struct ifaddrmsg
_IFA_ADDRESS, _IFA_FLAGS = 1, 8
_PERMANENT = 0x80  # IFA_F_PERMANENT, and NUD_PERMANENT alike
# NODAD, OPTIMISTIC, HOMEADDRESS, MANAGETEMPADDR, NOPREFIXROUTE, MCAUTOJOIN: the rest says how
# an address fares.
_ASKED_FLAGS = 0x716
_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # struct ndmsg
_NDA_DST = 1
_ROUTE = struct.Struct("=8BI")  # struct rtmsg
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_MULTIPATH, _RTA_TABLE = 1, 4, 5, 9, 15
_BY_KERNEL, _BY_ADVERTISEMENT = 2, 9  # RTPROT_KERNEL, RTPROT_RA
_MAIN = 254
_FAMILY = int(socket.AF_INET6)


class Ipv6Object(NamedTuple):
    """An object of a device: its name for people, and the message in hexadecimal."""

    ifindex: int
    what: str
    message: str


class Ipv6Objects(Rtnetlink):
    """Reads them and brings them back."""

    def ipv6_objects(self, *, but: int) -> list[Ipv6Object]:
        """Read all, without routes of protocol ``but``."""

        def routes(reading: Reading) -> list[Ipv6Object]:
            return _routes(reading, {_BY_KERNEL, _BY_ADVERTISEMENT, but})

        address, neighbour = (
            _ADDRESS.pack(_FAMILY, 0, 0, 0, 0),
            _NEIGHBOUR.pack(_FAMILY, 0, 0, 0, 0),
        )
        return [
            *self._listed("addresses", _GETADDR, address, _addresses),
            *self._listed("neighbours", _GETNEIGH, neighbour, _neighbours),
            *self._listed("routes", GETROUTE, _ROUTE.pack(_FAMILY, *bytes(8)), routes),
        ]

    def bring_back(self, objects: Iterable[tuple[str, str]]) -> None:
        """Send messages, each with its name; what is there, or has no device, is fine.

        Raises KernelError for the first that is refused; the others are sent all the same.
        """
        messages = [(what, bytes.fromhex(message)) for what, message in objects]
        messages.sort(key=lambda pair: _turn(pair[1]))
        refusals = self.make_all([_request(what, message) for what, message in messages])
        for place in sorted(refusals):
            raise refusals[place]


def _turn(message: bytes) -> tuple[int, bool]:
    """Give the place among others: addresses, routes on a link, routes by a gateway, the rest."""
    _, kind, *_ = HEADER.unpack_from(message)
    if kind != NEWROUTE:
        return kind, False
    values = dict(attributes(message, HEADER.size + _ROUTE.size))
    return kind, _RTA_GATEWAY in values or _RTA_MULTIPATH in values


def _request(what: str, message: bytes) -> Request:
    _, kind, *_ = HEADER.unpack_from(message)
    how = CREATE | (REPLACE if kind == NEWROUTE else EXCL)
    gone = (errno.EEXIST, errno.ENODEV)
    return Request(f"bring back {what}", kind, message[HEADER.size :], how, gone)


def _addresses(reading: Reading) -> list[Ipv6Object]:
    objects = []
    for message in reading.of(_FAMILY):
        _, bits, _, scope, ifindex = _ADDRESS.unpack_from(message, HEADER.size)
        values = dict(attributes(message, HEADER.size + _ADDRESS.size))
        flags = struct.unpack("=I", values.get(_IFA_FLAGS, bytes(4)))[0]
        if not flags & _PERMANENT:
            continue
        values[_IFA_FLAGS] = struct.pack("=I", flags & _ASKED_FLAGS)
        body = _ADDRESS.pack(socket.AF_INET6, bits, 0, scope, ifindex)
        body += b"".join(attribute(kind, value) for kind, value in values.items())
        name = f"address {ipaddress.ip_address(values[_IFA_ADDRESS])}/{bits}"
        objects.append(Ipv6Object(ifindex, name, _message(_NEWADDR, body)))
    return objects


def _neighbours(reading: Reading) -> list[Ipv6Object]:
    objects = []
    for message in reading.of(_FAMILY):
        _, ifindex, state, _, _ = _NEIGHBOUR.unpack_from(message, HEADER.size)
        values = dict(attributes(message, HEADER.size + _NEIGHBOUR.size))
        if state & _PERMANENT and _NDA_DST in values:
            name = f"neighbour {ipaddress.ip_address(values[_NDA_DST])}"
            objects.append(Ipv6Object(ifindex, name, _message(_NEWNEIGH, message[HEADER.size :])))
    return objects


def _routes(reading: Reading, but: Container[int]) -> list[Ipv6Object]:
    objects = []
    for message in reading.of(_FAMILY):
        _, bits, _, _, table, protocol, *_ = _ROUTE.unpack_from(message, HEADER.size)
        values = dict(attributes(message, HEADER.size + _ROUTE.size))
        if protocol in but:
            continue
        to = ipaddress.ip_address(values.get(_RTA_DST, bytes(16)))
        if _RTA_TABLE in values:
            (table,) = struct.unpack("=I", values[_RTA_TABLE])
        name = f"route {to}/{bits}" + (f" table {table}" if table != _MAIN else "")
        objects += [Ipv6Object(at, name, restoring(message)) for at in _devices(values)]
    return objects


def _devices(values: Mapping[int, bytes]) -> Iterator[int]:
    if _RTA_OIF in values:
        yield struct.unpack("=i", values[_RTA_OIF])[0]
    for _, _, _, ifindex, _ in split_hops(values.get(_RTA_MULTIPATH, b"")):
        yield ifindex


def _message(kind: int, body: bytes) -> str:
    return (HEADER.pack(HEADER.size + len(body), kind, 0, 0, 0) + body).hex()
