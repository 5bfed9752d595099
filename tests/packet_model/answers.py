"""Whether what a refused packet was turned into is the answer that the RFCs ask for."""

from __future__ import annotations

import struct

from tests.packet_model.packets import checksum
from tests.packet_model.wire import ACK, FIN, ICMP, ICMPV6, RST, SYN, TCP, UDP, Packet

_QUOTED = 8


def wrong(packet: Packet, before: bytes, after: bytes) -> str:
    """Say what is wrong with the IP packet ``after`` as an answer to ``before``; "" if nothing."""
    return _wrong_v6(packet, before, after) if packet.flow.v6 else _wrong_v4(packet, before, after)


def _wrong_v4(packet: Packet, before: bytes, after: bytes) -> str:
    l4 = packet.l4
    complaint = _first(
        (after[12:20] != before[16:20] + before[12:16], "addresses are not swapped"),
        (int.from_bytes(after[2:4], "big") != len(after), "total length"),
        # Who sent a wrong one gets a wrong one, and drops it.
        ((checksum(after[:l4]) == 0) != (checksum(before[:l4]) == 0), "header checksum"),
        (after[9] != (TCP if packet.flow.protocol == TCP else ICMP), "protocol"),
    )
    if complaint or packet.flow.protocol == TCP:
        return complaint or _wrong_reset(before[l4:], after[l4:], after[12:20])
    error, quoted = after[l4:], after[l4 + 8 :]
    return _first(
        (error[:2] != b"\3\3", "not port unreachable (RFC 792)"),
        (checksum(error) != 0, "ICMP checksum"),
        (quoted[:1] != b"\x45" or quoted[9:10] != bytes([UDP]), "quoted header"),
        (quoted[12:20] != before[12:20], "quoted addresses"),
        (quoted[20:] != before[l4 : l4 + _QUOTED], "quoted data"),
    )


def _wrong_v6(packet: Packet, before: bytes, after: bytes) -> str:
    l4 = packet.l4
    complaint = _first(
        (after[8:40] != before[24:40] + before[8:24], "addresses are not swapped"),
        (int.from_bytes(after[4:6], "big") != len(after) - 40, "payload length"),
    )
    if complaint:
        return complaint
    if packet.flow.protocol == TCP:
        if after[6] != before[6] or after[40:l4] != before[40:l4]:
            return "extension headers"
        return _wrong_reset(before[l4:], after[l4:], after[8:40])
    error, quoted = after[40:], after[48:]
    pseudo = after[8:40] + struct.pack("!II", len(error), ICMPV6)
    return _first(
        (after[6] != ICMPV6 or error[:2] != b"\1\4", "not port unreachable (RFC 4443, 3.1)"),
        (checksum(pseudo + error) != 0, "ICMPv6 checksum"),
        (quoted[:1] != b"\x60" or quoted[6:7] != bytes([UDP]), "quoted header"),
        (quoted[8:40] != before[8:40], "quoted addresses"),
        (quoted[40:] != before[l4 : l4 + _QUOTED], "quoted data"),
    )


def _wrong_reset(asked: bytes, reset: bytes, ends: bytes) -> str:
    """RFC 9293, 3.10.7.1: how a segment is answered where there is no connection."""
    if len(reset) != 20:
        return "not a bare TCP header"
    sequence, acknowledged = struct.unpack_from("!II", asked, 4)
    number, acknowledges = struct.unpack_from("!II", reset, 4)
    if asked[13] & ACK:
        fits = number == acknowledged and reset[13] == RST
    else:
        # Any part of what was sent may be acknowledged: data with a SYN need not be.
        length = max(len(asked) - (asked[12] >> 4) * 4, 0)
        syn = bool(asked[13] & SYN)
        most = length + syn + bool(asked[13] & FIN)
        fits = syn <= (acknowledges - sequence) % (1 << 32) <= most
        fits = fits and number == 0 and reset[13] == RST | ACK
    pseudo = ends + struct.pack("!II", len(reset), TCP)
    return _first(
        (bool(asked[13] & RST), "a reset is answered"),
        (reset[:4] != asked[2:4] + asked[:2], "ports are not swapped"),
        (reset[12] != 5 << 4, "data offset"),
        (not fits, "the client would not take this reset"),
        (checksum(pseudo + reset) != 0, "TCP checksum"),
    )


def _first(*complaints: tuple[bool, str]) -> str:
    return next((text for holds, text in complaints if holds), "")
