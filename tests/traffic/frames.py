"""Ethernet frames made by hand."""

from __future__ import annotations

import json
import socket
import struct

from tests.lab import Namespace
from tests.traffic.icmp import checksum

SYN, RST, ACK = 0x02, 0x04, 0x10
# packet(7) and <linux/if_packet.h>, <linux/if_ether.h>.
SOL_PACKET, PACKET_AUXDATA, ETH_P_ALL = 263, 8, 3
VLAN_VALID = 1 << 4  # TP_STATUS_VLAN_VALID
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


def datagram(source: Address, target: Address, payload: bytes) -> bytes:
    """An IPv4 packet with a datagram; it does without a checksum."""
    udp = struct.pack("!HHHH", source[1], target[1], 8 + len(payload), 0) + payload
    return ip_packet(source[0], target[0], socket.IPPROTO_UDP, udp)


def frame(
    source: bytes, target: bytes, packet: bytes, tags: tuple[tuple[int, int], ...] = ()
) -> bytes:
    """An Ethernet frame; ``tags`` are (ethertype, priority and id), the outer one first."""
    labels = b"".join(struct.pack("!HH", kind, vlan) for kind, vlan in tags)
    return target + source + labels + struct.pack("!H", _ETHERTYPES[packet[0] >> 4]) + packet


def sender_of(namespace: Namespace, device: str, *, hears: bool = False) -> socket.socket:
    """A packet socket that sends whole frames by ``device``.

    One that ``hears`` receives all that arrives there, with a struct tpacket_auxdata.
    """
    with namespace.entered():
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        made.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        made.bind((device, ETH_P_ALL if hears else 0))
    return made
