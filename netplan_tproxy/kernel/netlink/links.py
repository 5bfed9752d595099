"""Network devices over rtnetlink (rtnetlink(7): RTM_GETLINK), as plain values."""

from __future__ import annotations

import errno
import os
import struct
import sys
from dataclasses import dataclass

from netplan_tproxy.kernel.netlink.answer import HEADER, Reading, RefusedError
from netplan_tproxy.kernel.netlink.request import attribute, attributes, number
from netplan_tproxy.kernel.netlink.socket import Rtnetlink

_GETLINK = 18
_MESSAGE = struct.Struct("=BxHiII")  # struct ifinfomsg
_ADDRESS, _NAME, _MASTER, _LINKINFO, _EXT_MASK, _INFO_KIND = 1, 3, 10, 18, 29, 1  # IFLA_…
_LONGEST_NAME = 15  # IFNAMSIZ, less its final zero
# RTEXT_FILTER_SKIP_STATS: without its counters a device takes half the room in a datagram.
_BRIEF = number(_EXT_MASK, 1 << 3)
_MAC_BYTES = 6


@dataclass(frozen=True)
class Link:
    """A network device; ``type`` is its ARPHRD number (1: Ethernet, 772: loopback).

    ``mac`` is its link-layer address, "" for none.
    """

    name: str
    ifindex: int
    type: int
    master: int = 0
    mac: str = ""


class Links(Rtnetlink):
    """Reads them."""

    def links(self) -> dict[str, Link]:
        """Read all devices, by name. Raises KernelError."""

        def parse(reading: Reading) -> list[Link]:
            links = (_link(message) for message in reading.messages)
            return [link for link in links if link.name]

        links = self._listed("links", _GETLINK, _MESSAGE.pack(0, 0, 0, 0, 0) + _BRIEF, parse)
        return {link.name: link for link in links}

    def link(self, name: str) -> Link | None:
        """Read one device; None where there is none of this name. Raises KernelError."""
        named = os.fsencode(name)
        if not named or len(named) > _LONGEST_NAME:
            return None
        body = _MESSAGE.pack(0, 0, 0, 0, 0) + attribute(_NAME, named + b"\0") + _BRIEF
        with self._doing(f"read the device {name}"):
            try:
                link = _link(self._channel.get(_GETLINK, body))
            except RefusedError as refusal:
                if refusal.errno == errno.ENODEV:
                    return None
                raise
        # Asked for an alternative name the kernel gives the device all the same.
        return link if link.name == name else None

    def link_kind(self, name: str) -> str:
        """Read what kind a device is in ip-link(8)'s word; "" for hardware, or none of this name.

        Raises KernelError.
        """
        body = _MESSAGE.pack(0, 0, 0, 0, 0) + attribute(_NAME, os.fsencode(name) + b"\0") + _BRIEF
        info = b""
        with self._doing(f"read the device {name}", errno.ENODEV):
            message = self._channel.get(_GETLINK, body)
            info = dict(attributes(message, HEADER.size + _MESSAGE.size)).get(_LINKINFO, b"")
        return os.fsdecode(dict(attributes(info, 0)).get(_INFO_KIND, b"").split(b"\0")[0])


def _link(message: bytes) -> Link:
    _, kind, ifindex, _, _ = _MESSAGE.unpack_from(message, HEADER.size)
    values = dict(attributes(message, HEADER.size + _MESSAGE.size))
    return Link(
        os.fsdecode(values.get(_NAME, b"").split(b"\0")[0]), ifindex, kind,
        int.from_bytes(values.get(_MASTER, b""), sys.byteorder),
        values.get(_ADDRESS, b"")[:_MAC_BYTES].hex(":"),
    )  # fmt: skip
