"""Ethernet frames made by hand."""

from __future__ import annotations

import json
import socket
import struct

from tests.lab import Namespace
from tests.traffic.icmp import checksum

SYN = 0x02
DOT1Q, DOT1AD = 0x8100, 0x88A8
_ETHERTYPES = {4: 0x0800, 6: 0x86DD}

Address = tuple[str, int]


def mac_of(namespace: Namespace, device: str) -> bytes:
    shown = json.loads(namespace.run(["ip", "-j", "link", "show", device]).stdout)
    return bytes.fromhex(shown[0]["address"].replace(":", ""))


def ip_packet(source: str, target: str, proto: int, body: bytes, *, offset: int = 0) -> bytes:
    """An IPv4 packet; ``offset`` is its whole fragment word."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 7, offset, 64, proto, 0)
    head += socket.inet_aton(source) + socket.inet_aton(target)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def tcp_segment(source: Address, target: Address, flags: int, payload: bytes = b"") -> bytes:
    """A TCP segment over IPv4 with its checksum."""
    tcp = struct.pack("!HHIIBBHHH", source[1], target[1], 1, 0, 5 << 4, flags, 1024, 0, 0)
    ends = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
    pseudo = ends + struct.pack("!HH", socket.IPPROTO_TCP, len(tcp) + len(payload))
    total = checksum(pseudo + tcp + payload)
    return tcp[:16] + struct.pack("!H", total) + tcp[18:] + payload


def frame(
    source: bytes, target: bytes, packet: bytes, tags: tuple[tuple[int, int], ...] = ()
) -> bytes:
    """An Ethernet frame; ``tags`` are (ethertype, VLAN id), the outer one first."""
    labels = b"".join(struct.pack("!HH", kind, vlan) for kind, vlan in tags)
    return target + source + labels + struct.pack("!H", _ETHERTYPES[packet[0] >> 4]) + packet


def sender_of(namespace: Namespace, device: str) -> socket.socket:
    """A packet socket that sends whole frames by ``device``."""
    with namespace.entered():
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        made.bind((device, 0))
    return made
