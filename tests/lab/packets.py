"""Ethernet frames to the few fields that tests ask about."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

ETH_P_IP = 0x0800
ETH_P_IPV6 = 0x86DD
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6"}
_FLAGS = ((0x02, "S"), (0x10, "A"), (0x08, "P"), (0x01, "F"), (0x04, "R"))


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet; ports are 0 where the protocol has none. ``flags`` is like ``SA`` or ``R``."""

    proto: str
    src: str
    sport: int
    dst: str
    dport: int
    flags: str
    payload: bytes
    arrived: bool

    def __str__(self) -> str:
        way = "in " if self.arrived else "out"
        return (
            f"{way} {self.proto} {self.src}:{self.sport} > {self.dst}:{self.dport}"
            f" [{self.flags}] {len(self.payload)} bytes"
        )


def parse(frame: bytes, *, arrived: bool) -> Packet | None:
    """The packet in a frame, or None if it is neither IPv4 nor IPv6."""
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind == ETH_P_IP:
        header = (frame[14] & 0xF) * 4
        end = 14 + struct.unpack_from("!H", frame, 16)[0]
        number = frame[23]
        src = socket.inet_ntop(socket.AF_INET, frame[26:30])
        dst = socket.inet_ntop(socket.AF_INET, frame[30:34])
    elif kind == ETH_P_IPV6:
        header = 40
        end = 54 + struct.unpack_from("!H", frame, 18)[0]
        number = frame[20]
        src = socket.inet_ntop(socket.AF_INET6, frame[22:38])
        dst = socket.inet_ntop(socket.AF_INET6, frame[38:54])
    else:
        return None
    proto = _PROTOCOLS.get(number, f"proto-{number}")
    sport, dport, flags, payload = _transport(proto, frame[14 + header : end])
    return Packet(proto, src, sport, dst, dport, flags, payload, arrived)


def _transport(proto: str, segment: bytes) -> tuple[int, int, str, bytes]:
    if proto == "tcp" and len(segment) >= 20:
        sport, dport = struct.unpack_from("!HH", segment)
        flags = "".join(letter for bit, letter in _FLAGS if segment[13] & bit)
        return sport, dport, flags, segment[(segment[12] >> 4) * 4 :]
    if proto == "udp" and len(segment) >= 8:
        sport, dport = struct.unpack_from("!HH", segment)
        return sport, dport, "", segment[8:]
    return 0, 0, "", segment
